"""Pages of the documentation that are made of other files: README, CONTRIBUTING, results, ways, reference.

A hook of mkdocs (`make docs`): the site has no second copy of what stands in the repository.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

from metatl.transferring import rows
from metatl.transferring.row import Row

ROOT = Path(__file__).resolve().parent.parent
ROOMS = {
    "metatl": "The front door",
    "metatl.data": "Sources, streams and rules of tasks",
    "metatl.models": "Models",
    "metatl.adapt": "Adaptations",
    "metatl.heads": "Heads",
    "metatl.guides": "Guides",
    "metatl.transforms": "Transforms",
    "metatl.objectives": "Terms of objectives",
    "metatl.rules": "Rules",
    "metatl.learners": "Learners",
    "metatl.engines": "Engines",
    "metatl.aggregates": "Aggregates",
    "metatl.views": "Views",
    "metatl.evaluation": "Evaluation",
    "metatl.testing": "Laws for methods of one's own",
}
ROOTS = {"index.md": "README.md", "contributing.md": "CONTRIBUTING.md"}
"""Pages that stand beside docs/, not in it."""
METHOD = ("own-method.md", "A method in one file", "Your own method")
"""The page that a section of CONTRIBUTING is, and its title there."""
FAMILIES = {
    "features": "When there are few labels and the net has seen data like yours: quick, and hard to beat.",
    "fine-tuning": "When there are tens of labels a class, or the net has seen other data than yours.",
    "what moves": "When fine-tuning over-fits, or only the changed weights may be kept or sent.",
    "rates": "When fine-tuning helps, but early layers should keep more of what they know than late ones.",
    "added weights": "When the net is large or serves many tasks: a task keeps a small file, the net stays.",
    "anchors": "When fine-tuning forgets or over-fits: weights or predictions are held near their start.",
    "columns": "For tables, where no net was trained before: what any net has to beat there.",
    "names": "For sentences without a label, where the names of the classes say what they mean.",
    "learned on a source": "When a labelled source of many classes is at hand (`--source`).",
    "source and target": "When other data of the same classes or columns differ from yours (`--source`).",
    "no transfer": "The same net from random weights: what every transfer has to beat.",
}
"""When each family of `metatl transfer` is worth trying; a page each, in this order."""
SEEN = ROOT / "results/transfer-hymenoptera/160/report.json"
PICTURES = (".png",)
"""What the pages of results show."""


def on_config(config: Any) -> Any:
    """Name the pages of the methods and of the reference in the navigation."""
    for entry in config["nav"]:
        if "Methods" in entry:
            families = [{named(family): f"ways/{slug(family)}.md"} for family in FAMILIES]
            entry["Methods"] = [{"The families": "ways.md"}, *families, {"Formulas and values": "methods.md"}]
        if "Reference" in entry:
            entry["Reference"] = [{title: f"api/{room}.md"} for room, title in ROOMS.items()]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add what is made of other files."""

    def add(path: str, content: str | bytes) -> None:
        files.append(File.generated(config, path, content=content))

    for page, file in ROOTS.items():
        add(page, (ROOT / file).read_text(encoding="utf-8"))
    add(METHOD[0], own_method()[1])
    add("results/index.md", (ROOT / "results/README.md").read_text(encoding="utf-8"))
    for path in sorted((ROOT / "results").rglob("*")):
        if path.suffix in PICTURES:
            add(path.relative_to(ROOT).as_posix(), path.read_bytes())
        elif (
            path.name in ("table.md", "reproduced.json")
            or linked(path)
            or (path.name == "README.md" and path.parent.name != "results")
        ):
            add(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
    for page, text in ways().items():
        add(page, text)
    for room, title in ROOMS.items():
        add(f"api/{room}.md", f"# {title}\n\n`{room}`\n\n::: {room}\n")
    return files


def linked(path: Path) -> bool:
    """Whether the README beside a file links it."""
    readme = path.parent / "README.md"
    return path.is_file() and readme.is_file() and f"]({path.name})" in readme.read_text(encoding="utf-8")


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Links of the repository as links of the site."""
    here = page.file.src_uri
    if here == "contributing.md":
        markdown = own_method()[0]
    if here in ROOTS or here == METHOD[0]:
        markdown = markdown.replace("](docs/", "](")
    markdown = re.sub(r"\]\((?:\.\./)*CONTRIBUTING\.md", "](contributing.md", markdown)
    markdown = re.sub(r"\]\((?:\.\./)*results/README\.md", "](results/index.md", markdown)
    return (
        markdown
        if here.startswith(("results/", "ways/"))
        else markdown.replace("](../results/", "](results/")
    )


def own_method() -> tuple[str, str]:
    """CONTRIBUTING without the section that is a page of its own, and that page."""
    page, heading, title = METHOD
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    before, rest = text.split(f"## {heading}\n", 1)
    section, after = rest.split("\n## ", 1)
    return f"{before}[{heading}]({page}) has its own page.\n\n## {after}", f"# {title}\n{section}\n"


def named(family: str) -> str:
    return family[:1].upper() + family[1:]


def slug(family: str) -> str:
    return family.replace(" ", "-")


def ways() -> dict[str, str]:
    """A page for every family of `metatl transfer`, and one that lists them."""
    of: dict[str, list[str]] = {family: [] for family in FAMILIES}
    names: dict[str, list[str]] = {family: [] for family in FAMILIES}
    seen = json.loads(SEEN.read_text(encoding="utf-8"))["rows"]
    for name, path in rows.files().items():
        row = rows.read(path)
        of[row.family].append(way(name, row, path, [one for one in seen if one["method"] == name]))
        names[row.family].append(f"`{name}`")
    listed = [
        f"- [{named(family)}](ways/{slug(family)}.md): {', '.join(names[family])}. {when}"
        for family, when in FAMILIES.items()
    ]
    about = "`metatl methods` lists all rows of `metatl transfer`, `--methods NAME,NAME` runs these."
    found = {"ways.md": "\n\n".join(["# The ways of transferring", about, "\n".join(listed)]) + "\n"}
    for family, when in FAMILIES.items():
        text = "\n\n".join([f"# {named(family)}", when, *of[family]])
        found[f"ways/{slug(family)}.md"] = text + "\n"
    return found


def way(name: str, row: Row, path: Path, seen: list[dict[str, Any]]) -> str:
    """A row: what it is, its formula, what it reached, its source and config."""
    when = "" if row.usual else " It runs where `--methods` names it."
    moves = "The body moves." if row.moves == "body" else "The body stays."
    parts = [f"## {name}", f"{named(row.about)}. {moves}{when}", f"```{{.text .formula}}\n{row.formula}\n```"]
    reached = [
        f"{one['score']:.1f} [{one['ci95'][0]:.1f}, {one['ci95'][1]:.1f}] with {one['labelled']}"
        for one in seen
    ]
    if reached:
        told = f"Ants and bees, accuracy in percent by labels a class: {'; '.join(reached)}"
        parts.append(f"{told} ([the whole table](../results/transfer-hymenoptera/160/table.md)).")
    config = path.read_text(encoding="utf-8").strip()
    kept = [
        one for one in config.splitlines() if not re.match("(about|formula|source|family|order|usual):", one)
    ]
    return "\n\n".join([*parts, f"Source: {row.source}", "```yaml\n" + "\n".join(kept) + "\n```"])
