"""The table of the GTL studies that README shows: every guide beside plain transfer and its controls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gtl_nets import CONTROLS

from metatl.evaluation.statistics import shown
from metatl.lab.render.tables import plus_minus

STUDIES = {
    "gtl-proof": "random bits",
    "gtl-mnist": "MNIST to Omniglot",
    "gtl-alphabets": "new alphabets",
    "gtl-hapt": "HAPT, new people",
}
PLAIN = ("fine-tune", "published-fine-tune", "full-fine-tune", "maml")
COLUMNS = ("plain transfer", *CONTROLS)
GUIDES = {
    "gtl-proof": {
        "gtl": "times Adam's update",
        "gradient": "times the gradient, then Adam",
        "published": "the same at the published rate",
    },
}
ABOUT = (
    "The guide minus each of the others, in points of accuracy, with 95 % intervals over what the third "
    "column counts (paired); *: p < 0.05, Holm-corrected over all comparisons of a study (of a setting, of "
    "an amount of data). A guide scaled to a mean of 1 (gtl-level, gtl-scaled) has plain transfer for its "
    "constant."
)
Test = Mapping[str, Any]


def guides(reports: Mapping[str, Mapping[str, Any]]) -> str:
    """Differences in points, and what they say; reports by the name of their study."""
    lines = [["study", "setting", "over", "guide", *COLUMNS, "shown to be better than"]]
    lines.append(["---", "---", "---", "---", *["--:"] * len(COLUMNS), "---"])
    for study, report in reports.items():
        for (setting, guide), found in _grouped(report["contrasts"]).items():
            cells = [_cell(found.get(column)) for column in COLUMNS]
            name, over = GUIDES.get(study, {}).get(guide, guide), _over(report, setting, found)
            lines.append([STUDIES[study], setting, over, name, *cells, _verdict(found)])
    return "\n".join([ABOUT, "", *(f"| {' | '.join(line)} |" for line in lines)])


def statistic(report: Mapping[str, Any]) -> str:
    """The statistic family in four lines: how many cells of the grid are above, how many below."""
    protocol, tests = report["protocol"], report["contrasts"]
    nets = len(tests[0]["by_net"])
    about = (
        f"{protocol['way']}-way {protocol['shot']}-shot on {protocol['data']}, {protocol['episodes']} "
        f"episodes, {nets} net{'s' * (nets > 1)}; p < 0.05, Holm-corrected over all {len(tests)} tests."
    )
    lines = [
        about,
        "",
        "| the guide of a cell minus | cells | above | below | best cell | worst cell |",
        "| --- | --: | --: | --: | --: | --: |",
    ]
    for against in dict.fromkeys(test["against"] for test in tests):
        own = sorted((t for t in tests if t["against"] == against), key=lambda test: test["difference"])
        sure = [test["difference"] for test in own if shown(test["p"])]
        counts = [len(own), sum(d > 0 for d in sure), sum(d < 0 for d in sure)]
        cells = [*map(str, counts), _named(own[-1]), _named(own[0])]
        lines.append(f"| {against} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _named(cell: Test) -> str:
    where = f"{cell['statistic']}, power {cell['power']:g}, {100 * cell['density']:g} %"
    return f"{_cell(cell)} ({where})"


def _over(report: Mapping[str, Any], setting: str, found: Mapping[str, Test]) -> str:
    """What the intervals are over, and how many."""
    test = next(iter(found.values()))
    if "people" in test:
        return f"{test['people']} people"
    if "subsets" in test:
        return f"{report['protocol']['episodes']} repetitions"
    protocol = report.get("protocols", {}).get(setting, report["protocol"])
    nets = len(test["by_net"])
    return f"{protocol['episodes']} episodes, {nets} net{'s' * (nets > 1)}"


def _grouped(tests: list[Test]) -> dict[tuple[str, str], dict[str, Test]]:
    made: dict[tuple[str, str], dict[str, Test]] = {}
    for test in tests:
        guide = test.get("guide", test.get("method", ""))
        for column in _columns(test["against"]):
            made.setdefault((_setting(test), guide), {})[column] = test
    return {key: found for key, found in made.items() if len(found) > 1}


def _columns(against: str) -> Iterator[str]:
    if against in PLAIN:
        yield COLUMNS[0]
    yield from (control for control in CONTROLS if against.endswith(f"-{control}"))


def _setting(test: Test) -> str:
    if "shot" in test:
        return f"{test['shot']} window{'s' * (test['shot'] > 1)}"
    return test.get("setting", test.get("subsets", "100-way 1-shot"))


def _cell(test: Test | None) -> str:
    if test is None:
        return ""
    return plus_minus(test["difference"], test["ci95"], 2, "+") + "*" * shown(test["p"])


def _verdict(found: Mapping[str, Test]) -> str:
    """What the guide is shown to be better than, or worse; of the controls, only those that were run."""
    sure = {name: test["difference"] for name, test in found.items() if shown(test["p"])}
    better = [name for name, difference in sure.items() if difference > 0]
    worse = [name for name, difference in sure.items() if difference < 0]
    said = ["all" if len(better) == len(COLUMNS) else ", ".join(better)] if better else []
    said += [f"worse than {', '.join(worse)}"] if worse else []
    return "; ".join(said) or "none"
