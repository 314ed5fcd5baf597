"""Put the generated tables into the pages, and the expected results into the configs' header comments.

    python scripts/readme.py            # write
    python scripts/readme.py --check    # exit 1 if anything would change

A block `<!-- table results/NAME/report.json -->` ... `<!-- end -->` of a page is replaced by that report's
rows, a block `<!-- people results/NAME/report.json -->` by what it found over people, a block `<!-- guides
results/A/report.json results/B/report.json ... -->` by every guide beside its controls, a block `<!--
transfer results/NAME/report.json -->` by the scores of `metatl transfer`, `five` by those of five rows, a
block `<!-- card results/gtl-card/report.json -->` by what of GTL is better than its rival, a block `<!--
methods metatl/rows/transfer -->` by a line for every way of transferring, a block `<!-- profile
results/profile-cpu.json -->` by the figures of `metatl profile`; the line `# Expected:` of a config by what
its method reached (readme_headers.py). docs/examples.md shows the files of examples/.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import fish_readme
import gtl_card
import gtl_readme
import hapt_readme
import readme_headers
import readme_studies

from metatl.lab.render.tables import p_value, plus_minus
from metatl.transferring.listing import listing

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / name for name in ("README.md", "results/README.md", "docs/speed.md")]


def table(report: dict[str, Any]) -> str:
    protocol = report["protocol"]
    about = (
        f"{protocol['way']}-way {protocol['shot']}-shot on unseen classes of {protocol['data']}, "
        f"{report['rows'][0]['episodes']} episodes, the same for every method; 95 % intervals; "
        f"differences paired with {protocol['reference']}, p Holm-corrected; "
        f"harmed = episodes worse than {protocol['harmed_against']}."
    )
    lines = [
        about,
        "",
        "| method | mode | accuracy, % | difference | p | harmed, % | weights moved | learn, s | ms a task |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in report["rows"]:
        mode = "transductive" if row["transductive"] else "inductive"
        difference, p = plus_minus(row["difference"], row["difference_ci95"], 2, "+"), p_value(row["p"])
        if row["method"] == protocol["reference"]:
            difference, p = "reference", ""
        lines.append(
            f"| {row['method']} | {mode} | {plus_minus(row['accuracy'], row['ci95'])} | {difference} "
            f"| {p} | {row['harmed']:.0f} | {row['trainable']:,} | {row['seconds_to_learn']:.0f} "
            f"| {row['ms_per_task']:.1f} |"
        )
    return "\n".join(lines)


def profile(found: dict[str, Any]) -> str:
    machine = found["machine"]
    about = (
        f"{machine['cores']} cores, {machine['threads']} threads, float32 products at "
        f"{machine['sgemm_gflops']:.0f} GFLOP/s, torch {machine['torch']}. Whole meta-iterations, engines "
        "taking turns in one process, medians; the limit is what the products alone would take at that rate."
    )
    lines = [
        about,
        "",
        "| workload | inner steps | queries | engine | tasks/s | x learn2learn | of the limit | MiB |",
        "|---|--:|--:|---|--:|--:|--:|--:|",
    ]
    for row in sorted(found["rows"], key=lambda row: row["workload"]):
        engine = row["engine"] + (", compiled" if row["compiled"] else "")
        ratio = row["ratio_to_learn2learn"]
        lines.append(
            f"| {row['workload']} | {row['steps']} | {row['queries']} | {engine} "
            f"| {row['tasks_per_second']:,.0f} | {'' if ratio is None else format(ratio, '.1f')} "
            f"| {100 * row['share_of_limit']:.0f} % | {row['peak_mib']:.0f} |"
        )
    return "\n".join([*lines, "", *(said(measure) for measure in found.get("measures", []))])


def said(measure: dict[str, Any]) -> str:
    engine = measure["engine"]
    if measure["name"] == "evaluation":
        return (
            f"- Evaluation, {engine}: {measure['episodes']} 5-way 1-shot episodes with 3 inner steps in "
            f"{measure['seconds']:.1f} s, {measure['peak_mib']:.0f} MiB."
        )
    if measure["name"] == "scouts":
        return (
            f"- Scouting, {engine}: {measure['scouts_per_second']:.2f} scouts of 100 steps a second, "
            f"{measure['ratio_to_loop']:.1f} times the loop."
        )
    return (
        f"- Sampling a W1 meta-batch: {measure['milliseconds']:.2f} ms, "
        f"{100 * measure['share_of_step']:.1f} % of a meta-step of engine {engine}."
    )


BLOCKS = {
    "table": table,
    "people": hapt_readme.people,
    "profile": profile,
    "family": readme_studies.family,
    "sinusoid": readme_studies.sinusoid,
    "density": fish_readme.density,
    "guides": gtl_readme.guides,
    "statistic": gtl_readme.statistic,
    "transfer": readme_studies.transfer,
    "five": readme_studies.five,
    "card": gtl_card.five,
}
OF_MANY = ("guides",)
"""Blocks that name several reports; the others name one."""


CONTROL = re.compile("control of ([a-z-]+):")
"""How a row that stands beside another one begins to say what it is."""


def methods() -> str:
    """A line for every way that runs without being named, and one for the others of each family.

    Controls have one line too, though they run.
    """
    lines, controls, named = list[str](), dict[str, list[str]](), dict[str, list[str]]()
    for row in listing():
        name, control = f"`{row['method']}`", CONTROL.match(row["about"])
        if not row["usual"]:
            named.setdefault(row["family"], []).append(name)
        elif control is not None:
            controls.setdefault(control[1], []).append(name)
        else:
            lines.append(f"- {name}: {row['about']}")
    lines += [f"- {', '.join(rows)}: controls of `{row}`" for row, rows in controls.items()]
    lines += [f"- *{family}*: {', '.join(rows)}" for family, rows in named.items()]
    return "\n".join(lines)


def readme(text: str) -> str:
    def filled(match: re.Match[str]) -> str:
        if match[1] == "methods":
            return f"<!-- methods {match[2]} -->\n{methods()}\n<!-- end -->"
        kind, paths = match[1], [ROOT / path for path in match[2].split()]
        found = {path.parent.name: json.loads(path.read_text()) for path in paths if path.is_file()}
        whole = found if kind in OF_MANY else next(iter(found.values()), None)
        return (
            f"<!-- {kind} {match[2]} -->\n{BLOCKS[kind](whole) if found else '(not run yet)'}\n<!-- end -->"
        )

    kinds = "|".join(["methods", *BLOCKS])
    return re.sub(rf"<!-- ({kinds}) ([^>]+?) -->\n.*?<!-- end -->", filled, text, flags=re.S)


def examples() -> str:
    """The page that shows every file of examples/."""
    parts = [
        "# Examples",
        "Whole programs of at most 40 lines; the tests run each (`tests/end_to_end/test_examples.py`).",
    ]
    for path in sorted((ROOT / "examples").glob("*.py")):
        said = path.read_text()
        about, code = said.split('"""', 2)[1:]
        parts += [f"## {path.stem.replace('_', ' ').capitalize()}", about, f"`examples/{path.name}`"]
        parts.append(f"```python\n{code.strip()}\n```")
    return "\n\n".join(parts) + "\n"


def main() -> int:
    changes = {path: readme(path.read_text()) for path in PAGES} | readme_headers.headers(ROOT)
    changes[ROOT / "docs/examples.md"] = examples()
    changed = [path for path, text in changes.items() if not path.is_file() or path.read_text() != text]
    for path in changed:
        print(path.relative_to(ROOT))
        if "--check" not in sys.argv:
            path.write_text(changes[path])
    return 1 if changed and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
