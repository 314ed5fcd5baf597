"""`python -m metatl` is the command."""

import sys

from metatl.lab.cli import main

if __name__ == "__main__":
    sys.exit(main())
