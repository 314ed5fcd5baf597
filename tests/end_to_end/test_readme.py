"""What README and docs/python.md show is run as it stands there; only paths and sizes are put in."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import metatl
from metatl.lab import cli
from tests.photos import drawn

ROOT = Path(__file__).parents[2]
README, PYTHON = ((ROOT / page).read_text(encoding="utf-8") for page in ("README.md", "docs/python.md"))
SHAPE = (1, 28, 28)
TINY = """
name: gtl
data: {class_path: Glyphs}
model: {class_path: Conv4, init_args: {filters: 4}}
adaptation: {steps: 1, head: {class_path: Zeros}}
evaluation: {tasks: {way: 3, shot: 1, query: 2}, episodes: 3}
"""
NET = """
from torch import nn


class MyNet(nn.Sequential):
    def __init__(self, shape, outputs, width):
        body = nn.Linear(shape[0] * shape[1] * shape[2], width), nn.BatchNorm1d(width), nn.ReLU()
        super().__init__(nn.Flatten(), *body, nn.Linear(width, outputs))


"""


def test_tables_and_headers_are_what_the_reports_say():
    script = ROOT / "scripts" / "readme.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")  # else: python scripts/readme.py


def block(language: str, word: str, page: str = PYTHON) -> str:
    """The one fenced block of a page that is in this language and holds this word."""
    blocks = re.findall(rf"```{language}\n(.*?)```", page, flags=re.S)
    (found,) = [text for text in blocks if word in text]
    return found


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """`my_package` with the guide that README writes and a net."""
    (tmp_path / "my_package.py").write_text(NET + block("python", "class LastLayers"))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("my_package", None)


def run(folder: Path, config: str, *words: str) -> Path:
    """The run directory of a config."""
    (folder / "config.yaml").write_text(config)
    assert cli.main(["run", str(folder / "config.yaml"), "--runs", str(folder / "runs"), *words]) == 0
    return next((folder / "runs").rglob("transfer.safetensors")).parent


def test_a_finished_run_adapts_and_predicts(tmp_path: Path) -> None:
    done = run(tmp_path, TINY)
    names: dict[str, Any] = {
        "x": torch.rand(4, *SHAPE),
        "y": ["ada", "bob", "ada", "eve"],
        "new_x": torch.rand(5, *SHAPE),
    }
    code = block("python", "metatl.load").replace("runs/gtl/0123456789-s0", str(done))
    exec(code, names)
    shown = block("python", "metatl.load", README).replace("runs/gtl/0123456789-s0", str(done))
    exec(shown.replace("ada.delta", str(tmp_path / "shown.delta")), names | {"metatl": metatl})
    assert (tmp_path / "shown.delta").is_file()
    assert set(names["mine"].predict(names["new_x"])) <= {"ada", "bob", "eve"}
    assert names["mine"].probabilities(names["new_x"]).shape == (5, 3)
    (delta,) = re.findall(r"`(mine\.save_delta\(.*?\))`", PYTHON)
    (back,) = re.findall(r"`(metatl\.apply_delta\(.*?\))`", PYTHON)
    here = str(tmp_path / "ada.delta")
    exec(delta.replace("ada.delta", here), names)
    exec("again = " + back.replace("ada.delta", here).replace("runs/gtl/0123456789-s0", str(done)), names)
    assert names["again"].predict(names["new_x"]) == names["mine"].predict(names["new_x"])


def test_any_module_any_data() -> None:
    names: dict[str, Any] = {
        "my_module": nn.Sequential(
            nn.Flatten(), nn.Linear(784, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 9)
        ),
        "x": torch.rand(6, *SHAPE),
        "y": torch.arange(6) % 3,
    }
    exec(block("python", "Net.of"), names)
    assert names["weights"]["4.weight"].shape == (3, 8)


def test_a_folder_of_images_a_net_and_a_guide_of_ones_own(package: Path) -> None:
    for name in "abcdefgh":
        for i in range(6):
            path = package / "my_images" / name / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.random.default_rng(i).integers(0, 255, (20, 20), dtype=np.uint8)).save(path)
    guide = re.findall(r"`(guide: \{class_path: my_package.*?\})` in a config", PYTHON)
    config = block("yaml", "ImageFolder") + "\n".join(guide)
    config += "\nname: mine\nadaptation: {steps: 2, head: {class_path: Zeros}}\n"
    config += "evaluation: {tasks: {way: 2, shot: 1, query: 2}, episodes: 3}\n"
    assert len(guide) == 1
    done = run(package, config)
    assert (done / "report.json").is_file()


def test_a_folder_of_photos_in_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    drawn(tmp_path / "photos", {"train": 5, "test": 3})
    code = block("python", "metatl.transfer", README)
    exec(code.replace("minutes=10", 'minutes=0.05, net="Conv4", size=24, methods="ridge"'), {})


def test_a_table_in_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    lines = [
        f"P{i},{40 + i},{'north' if i % 2 else 'south'},{'ill' if i > 15 else 'well'}" for i in range(30)
    ]
    (tmp_path / "patients.csv").write_text("\n".join(["id,age,ward,outcome", *lines]))
    names: dict[str, Any] = {}
    code = block("python", "metatl.Words").replace("minutes=10", 'minutes=0.05, methods="ridge"')
    exec(code.replace("best.predict(", "found = best.predict("), names)
    assert list(names["found"]) == ["ill", "well"]


def test_readme_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    commands = re.findall(r"^ {4}([a-z]+)\b", capsys.readouterr().out, flags=re.M)
    (told,) = re.findall(r"names all commands: (.*?)\.\n", README, flags=re.S)
    assert sorted(re.findall(r"`([a-z]+)`", told)) == sorted(set(commands))


def test_every_page_that_a_page_names_is_there() -> None:
    for page in [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "results/README.md")),
        *sorted((ROOT / "docs").glob("*.md")),
    ]:
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.relative_to(ROOT)}: {link}"
    assert len(README.splitlines()) <= 150
