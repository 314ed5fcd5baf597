"""Grids: entries are configs, controls put a guide through another, whatever is wrong is one line."""

import json
import re
from pathlib import Path

import pytest

from metatl.lab import config, grids
from metatl.types import MetatlError
from tests.commands import metatl, refused

ROOT = Path(__file__).resolve().parents[2]
SHARED = """
    data:
      class_path: Glyphs
      init_args: {train_classes: 6, val_classes: 5, test_classes: 5, examples: 6, size: 16}
    model: {class_path: Conv4, init_args: {filters: 2}}
    adaptation: {steps: 1, head: {class_path: Zeros}}
    evaluation: {tasks: {way: 3, shot: 1, query: 2}, episodes: 3, select_episodes: 2}
"""
GRID = f"""# Two ways and a control.
bases:
  common: {SHARED}
starts:
  scouts:
    base: common
    learner: {{class_path: Scout, init_args: {{steps: 1, scouts: 2, tasks: {{way: 3, shot: 2, query: 0}}}}}}
controls:
  permuted: Permuted
  constant: {{class_path: Constant, init_args: {{head: true}}}}
rows:
  fine-tune: {{base: common, family: fine-tuning}}
  gtl: {{base: common, family: guided, start: scouts, controls: [permuted, constant]}}
  steep:
    base: gtl
    guide: {{class_path: Shaped, init_args: {{shape: {{class_path: PowerLaw}}}}}}
    controls: [permuted]
"""
EVERY = ["fine-tune", "gtl", "gtl-permuted", "gtl-constant", "steep", "steep-permuted"]


@pytest.fixture
def grid(tmp_path: Path, cache_home: Path) -> Path:
    path = tmp_path / "grid.yaml"
    path.write_text(GRID)
    return path


def test_its_rows_are_configs_by_name_each_with_its_controls(grid: Path) -> None:
    assert [path.name for path in grids.configs(grid)] == EVERY
    assert [path.parent for path in grids.configs(grid)] == [grid] * len(EVERY)
    assert [config.load(path).name for path in grids.configs(grid)] == EVERY
    assert grids.configs(grid / "gtl") == [grid / "gtl"]


def test_an_entry_is_what_a_file_of_its_own_says(grid: Path, tmp_path: Path) -> None:
    text = SHARED.replace("\n    ", "\n") + "name: gtl\nfamily: guided\nstart: grid.yaml/scouts\n"
    (tmp_path / "own.yaml").write_text(text)
    one, other = (config.describe(config.load(path)) for path in (tmp_path / "own.yaml", grid / "gtl"))
    assert one == other
    (tmp_path / "under.yaml").write_text("base: grid.yaml/gtl\nname: under\nadaptation: {steps: 4}\n")
    under = config.load(tmp_path / "under.yaml")
    assert (under.name, under.adaptation.steps, under.start) == ("under", 4, str(grid / "scouts"))  # type: ignore[attr-defined]


def test_a_control_puts_the_guide_of_its_row_through_another() -> None:
    own = {"class_path": "Shaped"}
    permuted = {"class_path": "Permuted"}
    found = grids.GridEntry({"name": "a"}, None, Path(), permuted).completed(
        {"guide": own, "family": "guided"}
    )
    guides = {"class_path": "InTurn", "init_args": {"guides": [own, permuted]}}
    assert found == {"name": "a", "guide": guides, "family": "controls"}
    assert grids.GridEntry({}, None, Path(), permuted).completed({})["guide"] == permuted


def test_controls_differ_from_their_row_in_the_guide_alone(grid: Path) -> None:
    for name, control in (("gtl", "permuted"), ("gtl", "constant"), ("steep", "permuted")):
        row, found = (config.describe(config.load(grid / one)) for one in (name, f"{name}-{control}"))
        assert {key for key in row if row[key] != found[key]} == {"name", "family", "guide"}
        assert found["family"] == "controls"


@pytest.mark.parametrize(
    ("old", "new", "entry", "said"),
    [
        ("", "", "gtll", "has no entry 'gtll'; nearest: gtl"),
        ("[permuted]", "[permutd]", "gtl", "row steep has no control 'permutd'; nearest: permuted"),
        ("base: gtl", "base: glt", "steep", "has no entry 'glt'"),
        ("base: gtl", "base: steep", "steep", "leads back to itself"),
        ("scouts:\n", "gtl:\n", "gtl", "two entries 'gtl'"),
        ("tune: {base: common, family: fine-tuning}", "tune: 3", "gtl", "fine-tune of rows holds no keys"),
        ("controls:\n  permuted: Permuted\n", "controls: 3\nabout:\n", "gtl", "controls are guides by name"),
        ("controls: [permuted]", "controls: 4", "gtl", "controls of row steep are names"),
        ("permuted: Permuted", "permuted: Permutd", "gtl-permuted", "Permutd"),
        ("starts:", "start:", "gtl", "a grid has no 'start'; nearest: starts"),
        ("  steep:", "  gtl-permuted:", "gtl", "two entries 'gtl-permuted'"),
        ("rows:", "rows: {}\nabout:", "gtl", "is a grid without rows"),
        ("[permuted]", "[3]", "gtl", "row steep has no control '3'"),
        ("    guide: {", "    control: Permuted\n    guide: {", "steep", "control"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line(old: str, new: str, entry: str, said: str, grid: Path) -> None:
    grid.write_text(GRID.replace(old, new) if old else GRID)
    assert said in refused("run", grid / entry)


def test_a_grid_is_no_experiment_and_an_entry_of_none_is_not_there(grid: Path) -> None:
    assert "is a grid of 6 rows; name one of them, " in refused("run", grid)
    assert "grid.yaml/fine-tune say" in refused("run", grid)
    with pytest.raises(MetatlError, match=r"none\.yaml is not there"):
        config.load(grid.with_name("none.yaml") / "gtl")
    with pytest.raises(MetatlError, match=r"is a grid, whose entry is .*grid\.yaml/gtl"):
        config.load(grid.with_suffix("") / "gtl.yaml")


def test_a_file_without_rows_has_no_entries_and_a_grid_without_rows_is_none(tmp_path: Path) -> None:
    (tmp_path / "plain.yaml").write_text("name: plain\n")
    assert "is no grid, whose entries stand under rows" in refused("run", tmp_path / "plain.yaml" / "gtl")
    (tmp_path / "empty.yaml").write_text("rows: {}\n")
    for command in ("run", "benchmark"):
        assert "empty.yaml is a grid without rows; give one or more" in refused(
            command, tmp_path / "empty.yaml"
        )


def test_a_benchmark_of_a_grid_is_one_of_its_rows(
    grid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = "rows:\n  half: {base: common}\n  all: {base: common, controls: [constant]}\n"
    shared = SHARED.replace("steps: 1", "steps: 0")
    grid.write_text(f"bases:\n  common: {shared}\ncontrols: {{constant: Constant}}\n{rows}")
    found = metatl("benchmark", grid, "--out", "out", "--runs", "runs")
    assert found.code == 0, found.lines
    told = json.loads((tmp_path / "out/report.json").read_text())["rows"]
    assert {row["method"] for row in told} == {"half", "all", "all-constant"}


def _named() -> set[str]:
    """Configs that pages, scripts and configs name, `configs/demo.yaml/maml` say."""
    places = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "Makefile"]
    for folder, end in (
        ("docs", "md"),
        ("results", "md"),
        ("scripts", "*"),
        ("configs", "yaml"),
        ("metatl", "py"),
    ):
        places += [path for path in (ROOT / folder).rglob(f"*.{end}") if path.suffix != ".pyc"]
    return {
        name
        for path in places
        for name in re.findall(r"configs/[\w/-]+(?:\.yaml)?(?:/[\w-]+)?", path.read_text(encoding="utf-8"))
    }


def test_every_config_that_is_named_is_there() -> None:
    named = _named()
    assert len(named) > 50
    for name in sorted(named):
        path = ROOT / name.removesuffix("/ROW").rstrip("/")
        assert path.exists() or config.read(path), name
