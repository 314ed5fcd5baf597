"""What scouts know of real nets: ResNet-20 from things to digits, MiniLM in LoRA's space to new domains.

    METATL_DATA=<folder with cifar10/, weights/, mnist/ and mnist_m/> python scripts/real_nets.py
    METATL_DATA=<folder with clinc150/> python scripts/real_nets.py --net minilm

resnet20 (configs/real-nets.yaml): the published net goes to 5-way 5-shot tasks of MNIST-M's digits; 64 scouts
on sub-problems of CIFAR-10; values are chosen on tasks of MNIST's digits. minilm
(configs/real-nets-minilm.yaml): the sentence encoder goes to 15-way 1-shot tasks of intents of two domains of
CLINC150; 64 scouts on intents of six other domains move low-rank additions alone, whose mean, directions,
priors and guides these are; values are chosen on intents of two more domains. The same tasks for all rows,
beside controls.

Writes table.md and report.json. `--draws` draws scouts anew; the nets are one each, as published. Resumable,
row by row and draw by draw: `--rows` with some names does these alone, so that the work can be done in
pieces, by several processes too (each with an `--out` of its own), and put together by the whole command.

Durations, one core that nothing else uses, of a draw. resnet20: 64 scouts 3 minutes, and as much again for
those with shuffled labels; a row 3 to 6 minutes, 18 rows. minilm, reckoned from one group of scouts and six
tasks: scouts 7 minutes and 7 more for shuffled ones; a row 5 to 7 minutes (head-only 3; priors, with six
values to choose from, 8), 18 rows, so two hours a draw; a run folder takes 90 to 180 MB.
"""

from __future__ import annotations

from pathlib import Path

import real_nets_data
import scouts_directions
import scouts_directions_table
import scouts_runs
import study
import torch
from reports import Reports
from tqdm import tqdm

from metatl.evaluation import compare
from metatl.lab import render, store

AGAINST = "fine-tune"
PAIRS = (
    *((own, AGAINST) for own in ("head-only", "mean-fine-tune", "diagonal", "subspace-16", "subspace-63")),
    *((own, AGAINST) for own in ("prior-diagonal", "prior-low-rank", "l2-sp", "lora", "all-weights")),
    *(
        ("subspace-16", f"subspace-16-{other}")
        for other in ("random", "permuted", "shuffled", "path", "fisher", "no-mean")
    ),
    *((own, "mean-fine-tune") for own in ("mean-alone", "subspace-63", "prior-low-rank")),
    ("subspace-16-no-mean", "subspace-16-path-no-mean"),
    ("subspace-16", "mean-alone"),
    ("mean-alone", "head-only"),
    ("subspace-16", "lora"),
    ("diagonal", "diagonal-permuted"),
    ("prior-diagonal", "l2-sp"),
    ("prior-low-rank", "prior-diagonal"),
)
"""Each row, and what it is held against."""


def write(out: Path, found: dict[str, scouts_runs.Runs], about: str) -> None:
    """table.md, and report.json with rows as `metatl benchmark` writes them."""
    tests = scouts_runs.contrasts(found, PAIRS)
    ordered = sorted((one.report for one in found.values()), key=lambda one: -one.mean)
    rows, protocol = compare.rows(ordered, AGAINST, None), compare.protocol(ordered, AGAINST, None)
    parts = ["# What scouts know of a real net", about, scouts_directions_table.differences(tests)]
    parts += [scouts_directions_table.PAIRED, scouts_directions_table.ROWS]
    parts.append(render.markdown(rows, protocol, times=False).strip())
    store.write_text(out / "table.md", "\n\n".join(parts) + "\n")
    made = {"about": about, "protocol": protocol, "rows": rows, "contrasts": tests}
    store.write_json(out / "report.json", made)


def main() -> None:
    nets = real_nets_data.NETS
    parser = study.parser("What scouts know of real nets.", None, "runs/real_nets")
    parser.add_argument("--net", choices=[*nets], default="resnet20", help="which [resnet20]")
    parser.add_argument("--rows", help="these alone, with commas between them; all by default")
    parser.add_argument("--draws", type=study.count, default=1, help="draws of scouts [1]")
    parser.add_argument("--episodes", type=study.count, help="tasks that judge [the net's own number]")
    given = parser.parse_args()
    torch.set_num_threads(1)  # sums over more threads differ in the last digit
    net = nets[given.net]
    paths = {path.name: path for path in scouts_directions.asked(net.configs, given.rows)}
    paths = {AGAINST: net.configs / AGAINST, **paths}
    episodes = given.episodes or net.episodes
    told = ["--runs", given.runs, *net.words(Path(given.runs)), "--evaluation.episodes", str(episodes)]
    about = net.about.format(tasks=episodes, counted=scouts_runs.counted(1, given.draws))
    found, drawn = dict[str, scouts_runs.Runs](), Path(given.runs) / "drawn" / net.configs.stem
    out = Path(given.out or net.out)
    kept = Reports(out / "reports.json")
    for name, path in tqdm(paths.items(), desc="rows"):
        found[name] = scouts_runs.runs(path, 1, given.draws, told, drawn, kept)
        write(out, found, about)


if __name__ == "__main__":
    study.command(main)
