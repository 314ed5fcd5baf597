"""The site's check of its links notices what leads nowhere, and nothing else."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LINKS: dict[str, Any] = runpy.run_path(str(ROOT / "scripts" / "docs_links.py"))


def test_links_that_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "ways").mkdir()
    (tmp_path / "a b.png").write_bytes(b"")
    (tmp_path / "index.html").write_text('<h1 id="top">a</h1><img src="a%20b.png"><a href="ways/a.html#b">')
    sound = '<h2 id="b">b</h2><a href="../index.html#top"><a href="#b"><a href="https://example.org/no">'
    (tmp_path / "ways/a.html").write_text(sound)
    assert LINKS["broken"](tmp_path) == []
    LINKS["places"].cache_clear()
    (tmp_path / "ways/a.html").write_text(
        sound + '<a href="index.html"><a href="../index.html#c"><img src="a.png">'
    )
    said = [("ways/a.html", link) for link in ("../index.html#c", "a.png", "index.html")]
    assert LINKS["broken"](tmp_path) == said
