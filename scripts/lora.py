"""Low-rank additions to a sentence encoder beside full tuning: which rate, which rank, at what price.

    METATL_DATA=<folder with clinc150/> python scripts/lora.py

Takes the fifteen intents of CLINC150's banking domain (runs/lora; train and val are labelled, test judges)
and MiniLM, with 5 sentences of each. Rows of `metatl transfer`, made here as configs: full tuning at four
rates, LoRA of rank 8 at four rates, and of ranks 1 and 64 at one; all start from logistic regression on
frozen features, which stands beside them. So a rate is a row, and nothing is chosen behind the table's
back: the curve over rates is the result. cost.md says what each row moves, the memory of a step, and the
seconds of a draw. `--domain travel` takes another domain, and writes to a folder of that name.
Resumable: what is done is not done again, and `--minutes` above 1 go on with what they did not reach.

Duration: 15 minutes. Published (Biderman et al. 2024, arXiv 2405.09673): LoRA wants about ten times the
rate of full tuning. The minutes decide how many draws rows get, which table.md says.
"""

from __future__ import annotations

from pathlib import Path

import study
from transfer_clinc150 import DOMAIN, tables

from metatl.lab import store
from metatl.transferring.backbone import backbone
from metatl.transferring.rows import rows
from metatl.transferring.summary import summary

NET, CLASSES, MINUTES = "minilm", 15, 15.0
RATES = {"full": ("1e-5", "3e-5", "1e-4", "3e-4"), "lora-8": ("1e-4", "3e-4", "1e-3", "3e-3")}
RANKS, RATE = (1, 64), "1e-3"
FULL = """base: lp-ft
about: "all weights from logistic regression on, lr {rate}"
adaptation: {{init_args: {{rule: {{init_args: {{lr: {rate}}}}}}}}}
select: null
"""
LORA = """base: lora
about: "low-rank additions of rank {rank}, lr {rate}"
transform: {{class_path: LoRA, init_args: {{r: {rank}, alpha: {rank}}}}}
adaptation: {{init_args: {{rule: {{init_args: {{lr: {rate}}}}}}}}}
select: null
"""


def configs(folder: Path) -> list[Path]:
    """A row for every rate and rank, as files there."""
    said = {f"full-{rate}": FULL.format(rate=_number(rate)) for rate in RATES["full"]}
    said |= {f"lora-8-{rate}": LORA.format(rank=8, rate=_number(rate)) for rate in RATES["lora-8"]}
    said |= {f"lora-{rank}-{RATE}": LORA.format(rank=rank, rate=_number(RATE)) for rank in RANKS}
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in said.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return [folder / f"{name}.yaml" for name in said]


def _number(rate: str) -> str:
    """As YAML reads numbers: with a point."""
    return f"{float(rate):.1e}"


def costs(made: list[Path], report: Path) -> str:
    """What each row moves, the memory of a step on one sentence, and the seconds of a draw."""
    lines = [
        f"What rows move in {NET}, the memory of a step on one sentence of the longest length, and the",
        "seconds of a draw (to choose, fit and predict).",
        "",
        "| method | weights moved | memory of a step, MB | seconds of a draw |",
        "| --- | ---: | ---: | ---: |",
    ]
    net, seconds = backbone(NET), {row["method"]: row["seconds"] for row in store.read_json(report)["rows"]}
    for name, row in rows(["logistic-regression", *map(str, made)]).items():
        found = summary(net, row, CLASSES)
        took = seconds.get(name)
        said = "–" if took is None else f"{took:.1f}"
        lines.append(f"| {name} | {found.moved:,} | {sum(found.bytes.values()) / 1e6:.1f} | {said} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = study.parser("LoRA beside full tuning of a sentence encoder.", "results/lora", "runs/lora")
    parser.add_argument("--minutes", type=study.share, default=1.0, help="a share of the minutes [1]")
    parser.add_argument("--domain", default=DOMAIN, help=f"of CLINC150 [{DOMAIN}]")
    given = parser.parse_args()
    runs, out = Path(given.runs), Path(given.out)
    out = out if given.domain == DOMAIN else out / given.domain
    tables(runs, given.domain)
    made = configs(runs / "rows")
    methods = ",".join(["logistic-regression", "head-only", *map(study.shown, made)])
    words = [study.shown(runs / given.domain), "--text", "utterance", "--target", "intent", "--net", NET]
    words += ["--labelled", "5", "--methods", methods, "--draws", "10"]
    study.transfer([*words, "--minutes", f"{given.minutes * MINUTES:g}", "--out", str(out)])
    (out / "cost.md").write_text(costs(made, out / "report.json"), encoding="utf-8")


if __name__ == "__main__":
    study.command(main)
