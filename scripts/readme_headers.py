"""What every row of a grid is expected to reach, in the line `# Expected:` above it: read from results/."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from metatl.lab.render.tables import plus_minus

Reached = dict[str, str]
"""By a row's name: what its method reached."""

GRIDS = {
    "configs/demo.yaml": "demo",
    "configs/omniglot/quick.yaml": "omniglot-quick",
    "configs/gtl-mnist.yaml": "gtl-mnist",
    "configs/hapt.yaml": "hapt-personal",
    "configs/hapt-groups.yaml": "gtl-hapt",
}
"""Grids, and the study of results/ that has one row for each of theirs."""


def headers(root: Path) -> dict[Path, str]:
    """Every grid that a study has rows of, with its lines as the committed results say them."""
    changes: dict[Path, str] = {}
    for grid, study in GRIDS.items():
        changes |= _headers(root, grid, study, _rows)
    changes |= _headers(root, "configs/omniglot/maml-family.yaml", "omniglot-maml", _family)
    changes |= _headers(root, "configs/gtl-alphabets.yaml", "gtl-alphabets", _settings)
    changes |= _headers(root, "configs/gtl-family.yaml", "gtl-family", _cells)
    for data in ("omniglot", "hapt"):
        changes |= _headers(root, f"configs/fish/{data}.yaml", f"fish-{data}", _densities)
        changes |= _headers(
            root, f"configs/calibration/{data}.yaml", "calibration", partial(_calibrated, data)
        )
    return changes


def _headers(root: Path, grid: str, study: str, read: Any) -> dict[Path, str]:
    report, path = root / "results" / study / "report.json", root / grid
    reached: Reached = read(json.loads(report.read_text())) if report.is_file() else {}
    found = path.read_text()
    for name, row in yaml.safe_load(found)["rows"].items():
        controls = [one for one in row.get("controls", []) if f"{name}-{one}" in reached]
        if name in reached:
            said = [
                reached[name],
                *(f"{one} {reached[f'{name}-{one}'].partition(' on ')[0]}" for one in controls),
            ]
            line = f"  # Expected: {'; '.join(said)} (results/{study}/table.md)"
            above = rf"^  # Expected:.*$(?=(?:\n  #.*)*\n  {re.escape(name)}:)"
            found = re.sub(above, lambda _, line=line: line, found, count=1, flags=re.M)
    return {path: found}


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
    """One row is all cells; the others have rows of their own."""
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
