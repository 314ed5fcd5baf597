"""`make package`: wheel and sdist hold every file, and the wheel runs where only it is installed."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

import metatl
from tests.conftest import ROOT

PACKAGE: dict[str, Any] = runpy.run_path(str(ROOT / "scripts" / "package.py"))
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What the script says, and the folder that it wrote."""
    out = tmp_path_factory.mktemp("dist")
    script = [sys.executable, ROOT / "scripts" / "package.py", "--out", out]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, out


def test_a_fresh_environment_runs_the_wheel(made: tuple[str, Path]) -> None:
    said, out = made
    assert f"metatl --version: metatl {VERSION}, torch " in said
    assert len(re.findall(r"^metatl .+: .+$", said, flags=re.M)) == len(PACKAGE["TRIED"])
    assert {path.name for path in out.iterdir()} == {
        f"metatl-{VERSION}.tar.gz", f"metatl-{VERSION}-py3-none-any.whl",
    }  # fmt: skip


def test_every_file_is_inside(made: tuple[str, Path]) -> None:
    sdist, wheel = next(made[1].glob("*.tar.gz")), next(made[1].glob("*.whl"))
    wanted = PACKAGE["files_of"](ROOT)
    kinds = {".py", ".typed", ".yaml", ".safetensors", ".json", ".cpp", ".h"}
    assert {Path(name).suffix or Path(name).name for name in wanted} >= kinds - {".typed"}
    assert "metatl/py.typed" in wanted
    assert PACKAGE["lacking"](sdist, wheel, wanted) == []
    entry = zipfile.ZipFile(wheel).read(f"metatl-{VERSION}.dist-info/entry_points.txt").decode()
    assert "metatl = metatl.lab.cli:main" in entry


def test_a_lost_or_foreign_file_is_named(tmp_path: Path) -> None:
    wheel, sdist = tmp_path / "a.whl", tmp_path / "a.tar.gz"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("metatl/a.py", "")
        archive.writestr("metatl/left_over.py", "")
    with tarfile.open(sdist, "w:gz") as archive:
        for name in (*PACKAGE["BESIDE"], "metatl/a.py"):
            archive.addfile(tarfile.TarInfo(f"metatl-{VERSION}/{name}"))
    wanted = {"metatl/a.py", "metatl/b.yaml"}
    assert PACKAGE["lacking"](sdist, wheel, wanted) == ["metatl/b.yaml", "metatl/left_over.py"]


def test_one_version_stands_everywhere() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["version"] == VERSION == metatl.__version__
    assert cited["authors"] == [{"name": "metatl contributors"}]
    assert {"cff-version", "message", "title", "type", "license"} <= set(cited)
