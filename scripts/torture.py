"""Do to metatl what machines and people do to training systems, for long, and count what was lost.

    python scripts/torture.py                        # all of it, about two hours on 2 cores
    python scripts/torture.py --only kill:maml fuzz  # rows whose names begin so
    python scripts/torture.py --list                 # the names of all rows, and how often each is done

Every row is a fault, done many times: `injected` times, of which `survived` ended as they should (the same
result bit by bit, or one clear line and the last good state kept) and `lost` did not. Expected: lost is 0 in
every row. Rows go into --out as they end; those that stand there are skipped, unless --again. A row that is
interrupted (Ctrl-C, SIGTERM) says so, counts what it did, and is done again the next time. Folders of runs
are made in a temporary place and taken away. A row takes from 10 s to 10 minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

if TYPE_CHECKING:
    from torture_row import Row

ROOT = Path(__file__).resolve().parent.parent


def all_rows() -> tuple[Row, ...]:
    """Imported here: every process that a row starts imports this file again."""
    import torture_faults
    import torture_files
    import torture_jobs
    import torture_mixtures
    import torture_numbers
    import torture_received

    faults, files, jobs = torture_faults.ROWS, torture_files.ROWS, torture_jobs.ROWS
    received = torture_received.ROWS
    return (*faults, *files, *jobs, *torture_mixtures.ROWS, *received, *torture_numbers.ROWS)


def machine() -> dict[str, Any]:
    """What the rows were taken on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": named[0] if named else platform.machine(),
        "cores": os.cpu_count(),
        "threads": 1,
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": version("torch"),
    }


def done(row: Row, times: int, folder: Path, bar: Any) -> dict[str, Any]:
    """A row's figures: every time it is done counts, whatever comes of it."""
    began, lost, injected, figures = time.perf_counter(), list[str](), 0, dict[str, Any]()
    hits = row.hits(folder, times)
    while injected < times:
        try:
            hit = next(hits)
        except StopIteration:
            break
        except KeyboardInterrupt:
            figures["unfinished"] = times
            break
        except Exception as error:  # the row itself cannot go on
            lost.append(" ".join(f"{type(error).__name__}: {error}".split())[:300])
            injected += 1
            break
        injected, figures = injected + 1, {**figures, **hit.figures}
        lost += [hit.lost] if hit.lost else []
        bar.update()
    said: dict[str, Any] = {"why": sorted({text for text in lost if text})[:5]} if lost else {}
    seconds = round(time.perf_counter() - began, 1)
    return {"fault": row.fault, "injected": injected, "survived": injected - len(lost), "lost": len(lost),
            "seconds": seconds, **figures, **said}  # fmt: skip


def written(out: Path, found: dict[str, Any]) -> None:
    """The file with this row in its place."""
    from metatl.lab import store

    rows = {row["fault"]: row for row in known(out)} | {found["fault"]: found}
    order = [row.fault for row in all_rows() if row.fault in rows]
    store.write_json(out, {"machine": machine(), "rows": [rows[fault] for fault in order]})


def known(out: Path) -> list[dict[str, Any]]:
    """The rows that stand in the file."""
    return list(json.loads(out.read_text())["rows"]) if out.is_file() else []


def main() -> int:
    parser = argparse.ArgumentParser(description="Faults done to metatl many times, and what was lost.")
    parser.add_argument("--only", nargs="+", default=[""], help="beginnings of the names of rows [all]")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "torture.json", help="JSON file")
    parser.add_argument("--again", action="store_true", help="do rows again that stand in the file")
    parser.add_argument("--share", type=float, default=1.0, help="of the times that each is done, 0.1 say")
    parser.add_argument("--list", action="store_true", help="print the names of the rows and stop")
    given = parser.parse_args()
    rows = all_rows()
    named = {row.fault for row in rows} & set(given.only)
    begun = tuple(set(given.only) - named)
    chosen = [row for row in rows if row.fault in named or row.fault.startswith(begun)]
    if given.list or not chosen:
        print("\n".join(f"{row.times:6d}  {row.fault}" for row in rows))
        return 0 if given.list else 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    there = {row["fault"] for row in known(given.out) if "unfinished" not in row and not given.again}
    worst = 0
    for row in [row for row in chosen if row.fault not in there]:
        found = do(row, given.share, given.out.absolute())
        worst = max(worst, found["lost"])
        if "unfinished" in found:
            return 130
    return int(worst > 0)


def do(row: Row, share: float, out: Path) -> dict[str, Any]:
    """A row in a folder of its own, which is gone afterwards; its figures, which stand in the file."""
    import pytest
    import torch

    from tests import commands

    torch.set_num_threads(1)
    times = max(1, round(row.times * share))
    with (
        tempfile.TemporaryDirectory(prefix="torture-") as place,
        pytest.MonkeyPatch.context() as patch,
        tqdm(total=times, desc=row.fault, mininterval=1.0) as bar,
    ):
        commands.small_cache(patch, Path(place) / "cache")
        patch.setenv("MPLBACKEND", "Agg")
        patch.chdir(place)
        found = done(row, times, Path(place), bar)
    written(out, found)
    print(f"{found['fault']}: {found['survived']} of {found['injected']} survived {found.get('why', '')}")
    return found


if __name__ == "__main__":
    sys.exit(main())
