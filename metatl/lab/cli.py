"""The command `metatl`: its help and version cost nothing; all else is done by `commands`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import metadata

from metatl.lab import arguments

_HELP = {"-h", "--help"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; 0 when it did what was asked, 2 for a user's mistake, 130 when interrupted."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words == ["--version"]:
        sys.stdout.write(f"metatl {metadata.version('metatl')}, torch {metadata.version('torch')}\n")
        return 0
    if words and words[0] in {*arguments.ABOUT, *_HELP} and _HELP & {words[0], *words[1:2]}:
        arguments.parse(words)  # prints it, and leaves
    try:
        from metatl.lab import commands
    except KeyboardInterrupt:  # while torch is imported, say: `guarded` hears those that come later
        sys.stderr.write("metatl: interrupted before it began\n")
        return 130
    return commands.main(words, last=argv is None)


if __name__ == "__main__":
    sys.exit(main())
