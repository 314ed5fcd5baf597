"""Pages of the documentation that are made of other files: README, CONTRIBUTING, results, ways, reference.

A hook of mkdocs (`make docs`): the site has no second copy of what stands in the repository.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

from metatl.lab import store
from metatl.transferring import rows

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
PICTURES = (".png",)
"""What the pages of results show."""


def on_config(config: Any) -> Any:
    """Name the pages of the reference in the navigation."""
    for entry in config["nav"]:
        if "Reference" in entry:
            entry["Reference"] = [{title: f"api/{room}.md"} for room, title in ROOMS.items()]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add what is made of other files."""

    def add(path: str, content: str | bytes) -> None:
        files.append(File.generated(config, path, content=content))

    for page, file in ROOTS.items():
        add(page, (ROOT / file).read_text(encoding="utf-8"))
    add("results/index.md", (ROOT / "results/README.md").read_text(encoding="utf-8"))
    for path in sorted((ROOT / "results").rglob("*")):
        if path.suffix in PICTURES:
            add(path.relative_to(ROOT).as_posix(), path.read_bytes())
        elif path.name in ("table.md", "reproduced.json") or (
            path.name == "README.md" and path.parent.name != "results"
        ):
            add(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
    add("ways.md", ways())
    for room, title in ROOMS.items():
        add(f"api/{room}.md", f"# {title}\n\n`{room}`\n\n::: {room}\n")
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Links of the repository as links of the site."""
    here = page.file.src_uri
    if here in ROOTS:
        markdown = markdown.replace("](docs/", "](")
    markdown = re.sub(r"\]\((?:\.\./)*CONTRIBUTING\.md", "](contributing.md", markdown)
    markdown = re.sub(r"\]\((?:\.\./)*results/README\.md", "](results/index.md", markdown)
    return markdown if here.startswith("results/") else markdown.replace("](../results/", "](results/")


def ways() -> str:
    """Every row of `metatl transfer`: what it is, its formula, source and config."""
    parts = ["# The ways of transferring", "`metatl methods` lists them, `--methods NAME,NAME` runs them."]
    for name, path in rows.files().items():
        row, config = rows.read(path), store.read_text(path, "config").strip()
        when = "" if row.usual else " It runs where `--methods` names it."
        moves = "The body moves." if row.moves == "body" else "The body stays."
        parts += [
            f"## {name}",
            f"{row.about[:1].upper()}{row.about[1:]}. {moves}{when}",
            f"    {row.formula}",
        ]
        parts += [f"Source: {row.source}", f"```yaml\n{config}\n```"]
    return "\n\n".join(parts) + "\n"
