"""What scouts know beyond a diagonal: mean, directions, prior and preconditioner, beside their controls.

    METATL_DATA=<folder with mnist/ and omniglot/> python scripts/scouts_directions.py --nets 3 --draws 3
    ... scripts/scouts_directions.py --shot 1                  # 5-way 1-shot
    ... scripts/scouts_directions.py --way 20 --episodes 20    # 20-way 5-shot
    ... scripts/scouts_directions.py --source alphabets        # to held-out alphabets

The configs in configs/scouts.yaml (from MNIST) or configs/scouts-alphabets.yaml (from Omniglot's background
alphabets, Lake's split), from `--nets` nets (seeds 0, 1, ...) and `--draws` draws of scouts from each, the
same tasks for all rows; values are chosen on meta_val, row by row, net by net, draw by draw. Rows called
-maml start from MAML's weights. `--way`, `--shot` and `--episodes` are of the tasks that judge alone: nets,
MAML and scouts are learned once and serve every setting. A row whose start has no scouts is not run again for
other draws. Writes table.md, report.json and plot.png (accuracy against the number of directions, and of
scouts) to results/scouts_directions, settings other than 5-way 5-shot from MNIST to folders in it.

Resumable, row by row, net by net and draw by draw, on another machine too (reports.json beside the table
keeps what was found): `--rows` with some names does these alone, and what was done before is read, so that
rows, nets and draws can be done in pieces, or by several processes (each with an `--out` of its own) and put
together by the whole command. Displacements lie in metatl's cache folder.

Durations, one core that nothing else uses, of a net and a draw: pre-training 5 s (alphabets: half a minute),
MAML 2 minutes, 256 scouts 10 s (4,096: 3 minutes), a row of 60 tasks half a minute to a minute and a half, so
15 to 30 minutes for all 48 rows from MNIST and half of it for the 30 to alphabets; 20-way tasks take four
times as long each, hence fewer of them. Three nets with three draws: nine times that, less the rows without
scouts. By pieces, say: `--rows fine-tune,subspace-64,mean-fine-tune --nets 3 --draws 3`, then other rows.

Expected of 5 examples a class: see results/scouts_directions/table.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import scouts_directions_table
import scouts_runs
import study
import torch
from reports import Reports
from tqdm import tqdm

from metatl.types import MetatlError

CONFIGS = Path(__file__).resolve().parent.parent / "configs"


@dataclass(frozen=True)
class Route:
    """Where nets come from and tasks lie: a folder of configs, and how the table says so."""

    configs: Path
    source: str
    target: str
    scouts: str


SOURCES = {
    "mnist": Route(CONFIGS / "scouts.yaml", "MNIST", "Omniglot's meta_test", "meta_train"),
    "alphabets": Route(
        CONFIGS / "scouts-alphabets.yaml",
        "the characters of Omniglot's background alphabets",
        "its evaluation alphabets",
        "the background alphabets",
    ),
}
AGAINST = "fine-tune"
PAIRS = (
    *((own, "fine-tune") for own in ("head-only", "diagonal", "mean-fine-tune", "mean-source-fine-tune")),
    *((own, "fine-tune") for own in ("subspace-64", "subspace-255", "prior-diagonal", "prior-low-rank")),
    *((own, "mean-fine-tune") for own in ("mean-alone", "mean-diagonal", "subspace-64", "subspace-255")),
    *((own, "mean-fine-tune") for own in ("subspace-of-4096", "prior-diagonal", "prior-low-rank")),
    *((f"preconditioned-{form}", "mean-fine-tune") for form in ("low-rank", "kronecker")),
    ("subspace-chosen", "fine-tune"),
    *(
        ("subspace-64", f"subspace-64-{other}")
        for other in ("random", "permuted", "shuffled", "source", "no-mean")
    ),
    *(("subspace-64", other) for other in ("subspace-64-path", "subspace-64-fisher", "lora-mean")),
    *(("subspace-255", other) for other in ("lora", "lora-mean")),
    ("subspace-64", "mean-alone"),
    ("subspace-64-source", "subspace-64-random"),
    ("subspace-31", "subspace-of-32"),
    ("subspace-127", "subspace-of-128"),
    ("subspace-of-1024", "subspace-255"),
    ("subspace-of-4096", "subspace-of-1024"),
    *(
        (f"{own}-maml", "fine-tune-maml")
        for own in ("head-only", "mean-fine-tune", "diagonal", "subspace-64")
    ),
    ("subspace-64-maml", "subspace-64-random-maml"),
    ("diagonal", "diagonal-permuted"),
    *((own, f"{own}-source") for own in ("diagonal", "prior-diagonal", "prior-low-rank")),
    *((own, f"{own}-source") for own in ("preconditioned-low-rank", "preconditioned-kronecker")),
    ("mean-alone", "head-only"),
    ("subspace-64", "lora"),
    ("prior-diagonal", "l2-sp"),
    ("prior-low-rank", "prior-diagonal"),
    ("preconditioned-low-rank", "sgd"),
    ("preconditioned-kronecker", "sgd"),
    ("meta-curvature", "preconditioned-kronecker"),
    ("meta-curvature-init", "meta-curvature"),
)
"""Each row, and what it is held against."""


def asked(grid: Path, rows: str | None) -> list[Path]:
    """The configs of these rows, with commas between them, or all; MetatlError for a name that is none."""
    every = study.rows(grid)
    names = [*every] if rows is None else rows.split(",")
    if unknown := sorted({*names} - {*every}):
        raise MetatlError(f"there is no row {', '.join(unknown)}; rows are {', '.join(every)}")
    return [every[name] for name in names]


def place(source: str, way: int, shot: int) -> str:
    """The folder of a setting's results."""
    name = f"{way}w{shot}s" if source == "mnist" else f"{source}-{way}w{shot}s"
    return "results/scouts_directions" + ("" if name == "5w5s" else f"/{name}")


def main() -> None:
    parser = study.parser("What scouts know beyond a diagonal.", None)
    parser.add_argument("--source", choices=[*SOURCES], default="mnist", help="what nets know [mnist]")
    parser.add_argument("--nets", type=study.count, default=1, help="pre-trained nets, one for each seed [1]")
    parser.add_argument("--draws", type=study.count, default=1, help="draws of scouts from each net [1]")
    parser.add_argument("--way", type=study.count, default=5, help="classes of a task in evaluation [5]")
    parser.add_argument("--shot", type=study.count, default=5, help="examples a class in evaluation [5]")
    parser.add_argument("--episodes", type=study.count, default=60, help="tasks that judge [60]")
    parser.add_argument("--rows", help="these alone, with commas between them; all by default")
    given = parser.parse_args()
    torch.set_num_threads(1)  # sums over more threads differ in the last digit
    route, out = SOURCES[given.source], Path(given.out or place(given.source, given.way, given.shot))
    words = ["--runs", given.runs, "--evaluation.episodes", str(given.episodes)]
    words += ["--evaluation.tasks.way", str(given.way), "--evaluation.tasks.shot", str(given.shot)]
    about = scouts_directions_table.ABOUT.format(
        **{key: getattr(route, key) for key in ("source", "target", "scouts")},
        **{key: getattr(given, key) for key in ("nets", "way", "shot")},
        s="" if given.nets == 1 else "s",
        tasks=given.episodes,
        counted=scouts_runs.counted(given.nets, given.draws),
    )
    title = f"Moving along scouts' directions, {given.way}-way {given.shot}-shot, from {route.source}"
    found = dict[str, scouts_runs.Runs]()
    kept = Reports(out / "reports.json")
    for path in tqdm(asked(route.configs, given.rows), desc="rows"):
        drawn = Path(given.runs) / "drawn" / route.configs.stem
        found[path.name] = scouts_runs.runs(path, given.nets, given.draws, words, drawn, kept)
        if AGAINST in found:  # written row by row, as rows take minutes
            reports = {name: one.report for name, one in found.items()}
            tests = scouts_runs.contrasts(found, PAIRS)
            scouts_directions_table.write(out, reports, tests, about, title)


if __name__ == "__main__":
    study.command(main)
