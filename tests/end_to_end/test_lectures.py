"""docs/lectures.md: each picture has its function, its file and its command, and shows what is said of it."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest
from PIL import Image

from examples.lectures.__main__ import NAMES, main

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "lectures.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^`?(python -m examples\.lectures.*?)`?$", PAGE, flags=re.M)
SHOWN, MOST_LINES, MOST_BYTES = re.findall(r"\]\(lectures/(\w+)\.png\)", PAGE), 80, 80_000


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, dict[str, float]]]:
    """Each command of the page that names a picture, run as it stands there but for where it writes."""
    out, found = tmp_path_factory.mktemp("lectures"), dict[str, dict[str, float]]()
    for command in COMMANDS:
        if words := shlex.split(command)[3:]:
            found |= main([*words, "--out", str(out)])
    return out, found


@pytest.fixture
def numbers(drawn: tuple[Path, dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    return drawn[1]


def test_the_page_shows_every_picture_with_its_command() -> None:
    assert tuple(SHOWN) == NAMES
    commands = [f"python -m examples.lectures {name}" for name in NAMES]
    assert ["python -m examples.lectures", *commands] == COMMANDS
    files = sorted((ROOT / "examples" / "lectures").glob("*.py"))
    assert {*NAMES} <= {path.stem for path in files}
    for path in files:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES, path
    assert {path.stem for path in (ROOT / "docs" / "lectures").iterdir()} == {*NAMES}


def test_pictures_are_small_and_lie_in_docs_as_they_are_drawn(
    drawn: tuple[Path, dict[str, dict[str, float]]],
) -> None:
    for name in NAMES:
        kept, made = ROOT / "docs" / "lectures" / f"{name}.png", drawn[0] / f"{name}.png"
        assert kept.stat().st_size <= MOST_BYTES
        with Image.open(kept) as shown, Image.open(made) as new:
            assert shown.size == new.size


def test_the_same_picture_each_time(drawn: tuple[Path, dict[str, dict[str, float]]], tmp_path: Path) -> None:
    for name in ("representation", "lora", "sharing"):
        main([name, "--out", str(tmp_path)])
        assert (tmp_path / f"{name}.png").read_bytes() == (drawn[0] / f"{name}.png").read_bytes()


def test_without_a_name_all_are_drawn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("examples.lectures.__main__.NAMES", ("lora",))
    assert [*main(["--out", str(tmp_path)])] == ["lora"]


def test_another_name_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as left:
        main(["lore", "--out", str(tmp_path)])
    assert left.value.code == 2
    assert "no picture 'lore'" in capsys.readouterr().err


def test_without_scikit_learn_it_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)
    monkeypatch.delitem(sys.modules, "examples.lectures.dann", raising=False)
    with pytest.raises(SystemExit) as left:
        main(["dann", "--out", str(tmp_path)])
    assert left.value.code == 2
    assert "dann needs scikit-learn (sklearn.manifold): pip install" in capsys.readouterr().err


def test_two_points_suffice_after_a_related_task(numbers: dict[str, dict[str, float]]) -> None:
    error = numbers["two_points"]
    assert 3 * error["error from a line"] < error["error from scratch"] < error["error from a wave"]


def test_a_line_divides_rings_in_polar_coordinates(numbers: dict[str, dict[str, float]]) -> None:
    right = numbers["representation"]
    assert right["As given"] < 0.7
    assert right["Polar coordinates"] == right["A net's last hidden layer"] == 1.0


def test_later_layers_serve_their_own_task_alone(numbers: dict[str, dict[str, float]]) -> None:
    own, other = ([numbers["layers"][f"{task}, {k}"] for k in ("1", "4")] for task in ("own", "other"))
    assert abs(own[0] - other[0]) < 0.03
    assert own[1] > own[0] + 0.04
    assert other[1] < other[0] - 0.15


def test_each_pair_of_domains_differs_in_one_thing(numbers: dict[str, dict[str, float]]) -> None:
    differs = {name for name, value in numbers["domains"].items() if value}
    assert differs == {"X: X", "P(X): P(X)", "Y: Y", "P(Y | X): P(Y given X)"}


def test_dann_mixes_domains_and_gains(numbers: dict[str, dict[str, float]]) -> None:
    found = numbers["dann"]
    assert found["DANN"] > found["Source only"] + 0.2
    assert found["DANN: mixed"] > 0.1 > 0.05 > found["Source only: mixed"], "0.5 where domains are alike"


def test_lora_has_r_times_in_and_out(numbers: dict[str, dict[str, float]]) -> None:
    sides = {(384, 384), (768, 3072)}
    assert numbers["lora"] == {f"{n} x {m}, r {r}": r * (n + m) for n, m in sides for r in (1, 8, 64)}


def test_hard_sharing_has_about_half_the_weights(numbers: dict[str, dict[str, float]]) -> None:
    found = numbers["sharing"]
    assert found["Hard sharing: one trunk: weights"] < 0.6 * found["Separate nets: weights"]
    assert min(value for name, value in found.items() if name.endswith("right")) > 0.8


def test_few_examples_are_better_than_one_and_one_than_none(numbers: dict[str, dict[str, float]]) -> None:
    error = numbers["few_examples"]
    for way in ("in context", "exact"):
        assert error[f"{way}, 8"] < 0.7 * error[f"{way}, 1"]
        assert error[f"{way}, 1"] < 0.7 * error[f"{way}, 0"]
    assert all(
        error[f"exact, {k}"] < 1.02 * error[f"in context, {k}"] < 1.3 * error[f"exact, {k}"] for k in range(9)
    )
