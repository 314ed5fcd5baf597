"""What every config is expected to reach, in the line `# Expected:` of its header: read from results/."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

from metatl.lab.render.tables import plus_minus

Reached = dict[str, str]
"""By a config's file name: what its method reached."""

FOLDERS = {
    "configs/demo": "demo",
    "configs/omniglot/quick": "omniglot-quick",
    "configs/gtl-mnist": "gtl-mnist",
    "configs/hapt": "hapt-personal",
    "configs/hapt/groups": "gtl-hapt",
}
"""Configs, and the study of results/ that has one row for each of them."""


def headers(root: Path) -> dict[Path, str]:
    """Every config that a study has rows of, with its header as the committed results say it."""
    changes: dict[Path, str] = {}
    for folder, study in FOLDERS.items():
        changes |= _headers(root, folder, study, _rows)
    changes |= _headers(root, "configs/omniglot/maml-family", "omniglot-maml", _family)
    changes |= _headers(root, "configs/gtl-alphabets", "gtl-alphabets", _settings)
    changes |= _headers(root, "configs/gtl-family", "gtl-family", _cells)
    for data in ("omniglot", "hapt"):
        changes |= _headers(root, f"configs/fish/{data}", f"fish-{data}", _densities)
        changes |= _headers(root, f"configs/calibration/{data}", "calibration", partial(_calibrated, data))
    return changes


def _headers(root: Path, folder: str, study: str, read: Any) -> dict[Path, str]:
    report = root / "results" / study / "report.json"
    reached: Reached = read(json.loads(report.read_text())) if report.is_file() else {}
    found: dict[Path, str] = {}
    for path in sorted((root / folder).glob("*.yaml")):
        if path.stem in reached:
            line = f"# Expected: {reached[path.stem]} (results/{study}/table.md)"
            found[path] = re.sub(r"^# Expected:.*$", line, path.read_text(), count=1, flags=re.M)
    return found


def _of(row: dict[str, Any]) -> str:
    return f"{plus_minus(row['accuracy'], row['ci95'], 1).replace('±', '+-')} %"


def _rows(report: dict[str, Any]) -> Reached:
    return {row["method"]: f"{_of(row)} on {row['episodes']} meta-test episodes" for row in report["rows"]}


def _family(report: dict[str, Any]) -> Reached:
    """What each row reached under its three evaluations."""
    found = defaultdict[str, list[str]](list)
    for row in report["rows"]:
        found[f"{row['learned_by']}_{row['setting']}"].append(f"{_of(row)} {row['mode']}")
    return {file: "; ".join(said) for file, said in found.items()}


def _settings(report: dict[str, Any]) -> Reached:
    """Rows are called `gtl (5w1s)`: one for each shape of episodes."""
    found = defaultdict[str, list[str]](list)
    for row in report["rows"]:
        method, setting = row["method"].removesuffix(")").split(" (")
        found[method].append(f"{setting} {_of(row)}")
    return {method: "; ".join(sorted(said, key=_shape)) for method, said in found.items()}


def _shape(said: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", said.split(maxsplit=1)[0]))


def _cells(report: dict[str, Any]) -> Reached:
    """One config is all cells of the grid; the others have rows of their own."""
    cells = [
        row["accuracy"]
        for row in report["rows"]
        if "-d" in row["method"] and not row["method"].endswith("permuted")
    ]
    return {**_rows(report), "cell": f"{min(cells):.1f} to {max(cells):.1f} %, by cell"}


def _calibrated(data: str, report: dict[str, Any]) -> Reached:
    """Log loss as it is and at the temperature, in every setting of the data."""
    found = defaultdict[str, list[str]](list)
    for setting, own in report["settings"].items():
        for name, row in own["rows"].items() if setting.startswith(data) else ():
            found[name].append(f"{row['nll']:.3f}, at T {row['nll_tempered']:.3f} ({setting})")
    return {name: f"log loss {'; '.join(said)}" for name, said in found.items()}


def _densities(report: dict[str, Any]) -> Reached:
    """The lowest and the highest accuracy over densities."""
    found = defaultdict[str, list[float]](list)
    for point in report["points"]:
        found[point["mask"]].append(point["accuracy"])
    several = {mask: f"{min(of):.1f} to {max(of):.1f} %, by density" for mask, of in found.items()}
    return {mask: several[mask] if len(of) > 1 else f"{of[0]:.1f} %" for mask, of in found.items()}
