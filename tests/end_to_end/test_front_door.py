"""The command's front door: help and version without torch, a mistake in a few lines."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from metatl.lab import families
from tests.commands import metatl, refused

HEAVY = (
    *("torch._inductor", "torch._dynamo", "sympy", "matplotlib", "tensorboard", "sklearn", "scipy"),
    *("jsonargparse", "PIL", "safetensors", "metatl.data.omniglot", "metatl.engines.batched"),
)


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


@pytest.mark.parametrize("package", ["metatl.data", "metatl.engines"])
def test_a_front_door_shows_what_type_checkers_see(package: str) -> None:
    module = importlib.import_module(package)
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    froms = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    seen = {name.name: str(node.module) for node in froms for name in node.names}
    assert sorted(seen) == sorted(module.__all__)
    for name, home in seen.items():
        assert getattr(module, name) is getattr(importlib.import_module(home), name)
    assert set(dir(module)) >= set(seen)
    assert not hasattr(module, "nothing_of_the_kind")


def test_the_function_train_is_not_its_module() -> None:
    code = "import metatl.train\nfrom metatl.train import train\nassert metatl.train is train"
    modules_after(code)


def test_every_name_is_there() -> None:
    modules_after("import metatl\nfor name in metatl.__all__:\n    getattr(metatl, name)")


def test_run_without_a_config_is_a_mistake() -> None:
    assert "name a config" in refused("run")


@pytest.mark.parametrize("family", families.FAMILIES)
def test_every_member_is_described_in_a_few_lines(family: str) -> None:
    found = families.members(family)
    assert found, "every family has members"
    for name, made in found.items():
        lines = families.told(name)
        assert lines[0].startswith(f"{name}, ")
        assert len(lines) <= 18
        keys = [one for one in inspect.signature(made).parameters if one not in ("args", "kwargs")]
        assert all(any(line.split()[:1] == [key] for line in lines) for key in keys)
        example = yaml.safe_load("\n".join(lines[-2:] if lines[-1].startswith("  ") else lines[-1:]))
        assert name in repr(example)


def test_a_row_of_transfer_is_described_too() -> None:
    found = metatl("describe", "gtl")
    assert found.code == 0
    assert "class_path: Scout" in found.out


def test_all_families_and_wrong_names() -> None:
    assert "learner: DualPath, Episodic" in metatl("describe").out
    assert "nearest: ImageFolder" in refused("describe", "ImageFoldr")


def test_help_config_lists_ours_alone() -> None:
    found = metatl("run", "--help-config")
    assert found.code == 0
    assert "torch" not in found.out
    wanted = (
        "Conv4",
        "evaluation.episodes: int = 600",
        "learner: Learner",
        "Episodic",
        "device: str = 'cpu'",
    )
    assert all(word in found.out for word in wanted)
    assert max(map(len, found.out.splitlines())) <= 110
    assert len(found.out.splitlines()) < 80


@pytest.mark.parametrize("collects", ["enable", "disable"])
def test_an_import_leaves_the_garbage_collector_as_it_was(collects: str) -> None:
    code = f"import gc; gc.{collects}(); import metatl; metatl.Net; print(gc.isenabled())"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == str(collects == "enable")
