"""What a provenance tells of a user: never what is in the files of a repository, nor what opens a door."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import metatl
from metatl.lab import provenance as told
from tests.commands import config_of, only, written

KEY = "sk-live-4242"


def git(folder: Path, *words: str) -> None:
    named = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main")
    bare = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    subprocess.run(["git", "-C", str(folder), *named, *words], check=True, capture_output=True, env=bare)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A user's repository with an API key in an uncommitted change."""
    if shutil.which("git") is None:
        pytest.skip("no git")
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init")
    (folder / "settings.py").write_text("API_KEY = None\n")
    git(folder, "add", ".")
    git(folder, "commit", "-m", "first")
    git(folder, "remote", "add", "origin", f"https://ada:{KEY}@example.org/project.git")
    (folder / "settings.py").write_text(f"API_KEY = {KEY!r}\n")
    return folder


def provenance_of(package: Path, monkeypatch: pytest.MonkeyPatch, diff: bool = False) -> dict[str, Any]:
    """What a metatl whose files lie there says of itself."""
    monkeypatch.setattr(told, "__file__", str(package / "provenance.py"))
    with told.recording_diff(diff):
        return told.provenance("cpu")


@pytest.mark.parametrize("ignored", [False, True])
def test_of_a_project_around_a_virtual_environment_nothing_is_told(
    ignored: bool, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = project / "venv" / "metatl"
    package.mkdir(parents=True)
    (package / "provenance.py").write_text("")
    (package / ".gitignore").write_text("*\n" if ignored else "")
    for diff in (False, True):
        found = provenance_of(package, monkeypatch, diff)
        assert (found["commit"], found["dirty"]) == (None, None)
        assert "uncommitted" not in found
        assert KEY not in json.dumps(found)


def test_of_a_project_that_tracks_metatl_its_commit_and_a_mark(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = project / "lib" / "metatl"
    package.mkdir(parents=True)
    (package / "provenance.py").write_text("")
    git(project, "add", "lib")
    git(project, "commit", "-m", "metatl")
    # A repository that the environment names is another one.
    monkeypatch.setenv("GIT_DIR", str(project.parent / "nowhere"))
    found = provenance_of(package, monkeypatch)
    assert len(found["commit"]) == 40
    assert found["dirty"] is True
    assert KEY not in json.dumps(found)
    assert KEY in provenance_of(package, monkeypatch, diff=True)["uncommitted"]
    git(project, "commit", "-am", "all of it")
    assert provenance_of(package, monkeypatch)["dirty"] is False


def test_of_a_project_git_runs_nothing(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = project.parent / "ran"
    for key in ("diff.external", "core.fsmonitor", "diff.evil.textconv"):
        git(project, "config", key, f"touch {mark}; cat")
    (project / ".gitattributes").write_text("*.py diff=evil\n")
    (project / "provenance.py").write_text("")
    git(project, "add", "provenance.py")
    mark.unlink(missing_ok=True)
    assert provenance_of(project, monkeypatch, diff=True)["dirty"] is True
    assert not mark.exists()


def test_a_run_inside_a_project_holds_no_secret_of_it(project: Path, tmp_path: Path) -> None:
    """As it was found: metatl in a virtual environment inside a project, run with a key on the command."""
    shutil.copytree(
        Path(metatl.__file__).parent,
        project / "venv" / "metatl",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    path = written(project, config_of("maml", 1))
    environment = {**os.environ, "PYTHONPATH": str(project / "venv"), "OMP_NUM_THREADS": "1", "MY_TOKEN": KEY}
    words = [sys.executable, "-X", f"api_key={KEY}", "-m", "metatl", "run", path, "--learn-only"]
    done = subprocess.run(words, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    run = only(project / "runs")
    assert not [file for file in run.rglob("*") if file.is_file() and KEY.encode() in file.read_bytes()]
    found = json.loads((run / "provenance.json").read_text())
    assert (found["commit"], found["dirty"]) == (None, None)
    assert "api_key=***" in found["command"]


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["--data.token", KEY, "--seed", "1"], ["--data.token", "***", "--seed", "1"]),
        ([f"--data.init_args.api_key={KEY}"], ["--data.init_args.api_key=***"]),
        (["--password", KEY], ["--password", "***"]),
        (["--hub-token", "--again"], ["--hub-token", "--again"]),
        ([f"{{class_path: A, init_args: {{token: {KEY}, n: 3}}}}"],
         ["{class_path: A, init_args: {token: ***, n: 3}}"]),
        ([f'{{"secret": "{KEY} and more", "n": 3}}'], ['{"secret": ***, "n": 3}']),
        ([f"https://ada:{KEY}@example.org/a.zip?b=1"], ["https://***@example.org/a.zip?b=1"]),
        ([f"https://example.org/a.zip?access_token={KEY}&b=1"],
         ["https://example.org/a.zip?access_token=***&b=1"]),
        (["-c", f"OPENAI_KEY='{KEY}'; import metatl"], ["-c", "OPENAI_KEY=***; import metatl"]),
        (["--model.tokenizer", "bert", "--keys=3", "--author", "ada", "--tokens_per_chunk=2", "mail@host"],
         ["--model.tokenizer", "bert", "--keys=3", "--author", "ada", "--tokens_per_chunk=2", "mail@host"]),
    ],
)  # fmt: skip
def test_a_command_is_told_without_its_secrets(words: list[str], shown: list[str]) -> None:
    assert told.without_secrets(words) == shown
