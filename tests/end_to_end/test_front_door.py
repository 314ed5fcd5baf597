"""The command's front door: help and version without torch, a mistake in a few lines."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.commands import refused

HEAVY = ("torch._inductor", "torch._dynamo", "matplotlib", "tensorboard", "sklearn", "scipy", "jsonargparse")


def modules_after(code: str) -> set[str]:
    """The modules of a fresh process that ran the code."""
    said = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint(*sys.modules, file=sys.stderr)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(said.stderr.split())


@pytest.mark.parametrize("words", [["--help"], ["transfer", "--help"], ["run", "-h"], ["--version"]])
def test_help_and_version_do_not_import_torch(words: list[str]) -> None:
    code = f"from metatl.lab.cli import main\ntry:\n    main({words})\nexcept SystemExit:\n    pass"
    assert "torch" not in modules_after(code)


def test_the_package_imports_torch_with_the_first_name() -> None:
    assert "torch" not in modules_after("import metatl")


def test_an_import_brings_nothing_heavy() -> None:
    found = modules_after("from metatl import Net, evaluate")
    assert "torch" in found
    plain = modules_after("import torch")
    assert not [name for name in HEAVY if name in found and name not in plain]


def test_the_function_train_is_not_its_module() -> None:
    code = "import metatl.train\nfrom metatl.train import train\nassert metatl.train is train"
    modules_after(code)


def test_every_name_is_there() -> None:
    modules_after("import metatl\nfor name in metatl.__all__:\n    getattr(metatl, name)")


def test_run_without_a_config_is_a_mistake() -> None:
    assert "name a config" in refused("run")
