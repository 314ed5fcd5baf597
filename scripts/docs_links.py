"""A hook of mkdocs: every link of the built site leads to a file of it, and to a place in that file.

mkdocs itself says nothing of links in pages that are made while it builds.
"""

from __future__ import annotations

import html
import logging
import re
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

LINK = re.compile(r'(?:href|src)="([^"]+)"')
ELSEWHERE = re.compile(r"[a-z]+:|__")
log = logging.getLogger("mkdocs.hooks.docs_links")


@cache
def places(page: Path) -> set[str]:
    return set(re.findall(r'\bid="([^"]+)"', page.read_text(encoding="utf-8")))


def broken(site: Path) -> list[tuple[str, str]]:
    """Pages, and links of theirs that lead nowhere."""
    found = set[tuple[str, str]]()
    for page in site.rglob("*.html"):
        if page.name == "404.html":
            continue
        for link in map(html.unescape, LINK.findall(page.read_text(encoding="utf-8"))):
            if ELSEWHERE.match(link):
                continue
            file, _, place = map(unquote, link.partition("#"))
            target = page.parent / file.partition("?")[0] if file else page
            there = target.exists()
            if there and place and not place.startswith("__") and target.suffix == ".html":
                there = place in places(target.resolve())
            if not there:
                found.add((page.relative_to(site).as_posix(), link))
    return sorted(found)


def on_post_build(config: Any) -> None:
    for page, link in broken(Path(config["site_dir"])):
        log.warning("%s: a link leads nowhere: %s", page, link)
    places.cache_clear()
