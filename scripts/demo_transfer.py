"""The second half of `make demo`: photos of characters that none of its nets saw, and `metatl transfer`.

    python scripts/demo_transfer.py --out runs/demo [--minutes 1.5] [--data.seed 3 ...]

Writes `characters/train|test/<character>/*.png` below `out` (dark ink on white paper, 28 x 28 pixels), and
the table, the plots and the model into `transfer/`. The net is the pre-trained one of the few-shot table,
learned here where it is not there yet; all other words override its config, as in `metatl benchmark`. Both
folders are made anew.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import study
from PIL import Image

from metatl.data import Glyphs
from metatl.lab import cli, config, run

CONFIG = Path("configs/demo.yaml/fine-tune")
CLASSES, EACH = 10, 20
"""Characters of an alphabet of meta_test; photos of each to learn from, and as many to judge."""
ASKED = ("--labelled", "1,5,all", "--draws", "5")
"""So that rows that move the body are reached within a minute or so."""


def main(words: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--out", type=Path, default=Path("runs/demo"))
    parser.add_argument("--minutes", default="1.5")
    given, overrides = parser.parse_known_args(words)
    start = run.prepare(config.load(CONFIG, overrides), overrides).start
    assert start is not None
    run.learn(start)
    run.note(start)
    photos, out = given.out / "characters", given.out / "transfer"
    for folder in (photos, out):
        shutil.rmtree(folder, ignore_errors=True)
    write(photos)
    command = ["transfer", str(photos), "--net", str(start.folder), *ASKED]
    command += ["--minutes", given.minutes, "--out", str(out)]
    print(f"metatl {shlex.join(command)}", flush=True)
    if code := cli.main(command):
        sys.exit(code)


def write(folder: Path) -> None:
    """The photos, the same bytes every time."""
    bank = Glyphs(train_classes=1, val_classes=1, test_classes=CLASSES, examples=2 * EACH).load().banks
    drawings = 255 - bank["meta_test"].x.view(CLASSES, 2 * EACH, *bank["meta_test"].shape[1:]).numpy()
    for character, own in enumerate(drawings):
        for i, pixels in enumerate(own):
            place = folder / ("train" if i < EACH else "test") / f"character-{character}" / f"{i:02d}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(place)


if __name__ == "__main__":
    study.command(lambda: main(sys.argv[1:]))
