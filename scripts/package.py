"""Wheel and sdist, built and tried: all of the package is inside, and a fresh environment runs the command.

    python scripts/package.py --out dist          # 30 seconds, without the network

Nothing is left in the checkout: the sdist is made of a copy, so that neither an old build/ nor an old
egg-info gets into it, and the wheel is made of the sdist. In the fresh environment only metatl is installed;
torch and the other requirements are those of the environment that runs this script.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BESIDE = ("pyproject.toml", "MANIFEST.in", "README.md", "CHANGELOG.md", "LICENSE", "CITATION.cff")
BACKEND = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
WHERE = "import metatl; print(metatl.__file__)"
TRIED = (["--version"], ["methods"], ["describe", "LoRA"])
"""Commands that the fresh environment runs; the second reads the rows, which are YAML."""


def files_of(root: Path) -> set[str]:
    """What the package must hold, as `metatl/...`."""
    found = (root / "metatl").rglob("*")
    return {
        path.relative_to(root).as_posix()
        for path in found
        if path.is_file() and "__pycache__" not in path.parts
    }


def run(*words: str | Path, folder: Path) -> str:
    """What a command prints; its own words and exit status where it fails."""
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    given = [str(word) for word in words]
    done = subprocess.run(given, cwd=folder, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(given)}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def build(out: Path, root: Path = ROOT) -> tuple[Path, Path]:
    """The sdist and the wheel in `out`."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place) / "metatl"
        shutil.copytree(root / "metatl", copy / "metatl", ignore=shutil.ignore_patterns("__pycache__"))
        for name in BESIDE:
            shutil.copy(root / name, copy)
        run(sys.executable, "-c", BACKEND, place, folder=copy)
        (sdist,) = Path(place).glob("*.tar.gz")
        pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
        given = ("--no-index", "--no-deps", "--no-build-isolation", "--no-cache-dir", "--wheel-dir", place)
        run(*pip, "wheel", *given, sdist, folder=Path(place))
        (wheel,) = Path(place).glob("*.whl")
        return Path(shutil.copy(sdist, out)), Path(shutil.copy(wheel, out))


def lacking(sdist: Path, wheel: Path, wanted: set[str]) -> list[str]:
    """What of the wanted files is not in one of the two, and what else is in the wheel's package."""
    inside = set(zipfile.ZipFile(wheel).namelist())
    with tarfile.open(sdist) as archive:
        told = {name.partition("/")[2] for name in archive.getnames()}
    here = {name for name in inside if name.startswith("metatl/")}
    return sorted((wanted - inside) | ((wanted | set(BESIDE)) - told) | (here - wanted))


def fresh(wheel: Path, place: Path) -> Path:
    """The programs of a new environment that holds the wheel, and sees this environment's other packages."""
    venv.create(place, with_pip=False, symlinks=True)
    python = place / "bin" / "python"
    own = Path(sysconfig.get_path("purelib", vars={"base": str(place), "platbase": str(place)}))
    paths = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (own / "requirements.pth").write_text("\n".join(sorted(paths)) + "\n", encoding="utf-8")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python)
    run(*pip, "install", "--no-index", "--no-deps", "--ignore-installed", "--no-compile", wheel, folder=place)
    return place / "bin"


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    out: Path = parser.parse_args(words).out.resolve()
    sdist, wheel = build(out)
    if found := lacking(sdist, wheel, files_of(ROOT)):
        sys.exit(f"{len(found)} files are not where they belong: {', '.join(found[:5])}")
    with tempfile.TemporaryDirectory() as name:
        place = Path(name).resolve()
        programs = fresh(wheel, place / "venv")
        where = run(programs / "python", "-P", "-c", WHERE, folder=place).strip()
        if not Path(where).resolve().is_relative_to(place):
            sys.exit(f"the fresh environment imports {where}")
        for tried in TRIED:
            said = run(programs / "metatl", *tried, folder=place)
            print(f"metatl {' '.join(tried)}: {said.splitlines()[0]}")
    print(f"{sdist}\n{wheel}")


if __name__ == "__main__":
    main()
