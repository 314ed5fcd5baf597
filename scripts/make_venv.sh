#!/bin/sh
# Creates the virtual environment FOLDER with the first Python >= 3.11 found: $PYTHON, python3, python3.13, 3.12, 3.11.
set -eu
folder=${1:?usage: make_venv.sh FOLDER}

for python in ${PYTHON:-} python3 python3.13 python3.12 python3.11; do
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break
    python=
done
if [ -z "$python" ]; then
    found=$(python3 --version 2>/dev/null || echo "no python3")
    echo "metatl: needs Python 3.11 or newer, found $found; install one, or run: make PYTHON=/path/to/python3.11" >&2
    exit 1
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    echo "metatl: $python comes without venv; install it (Debian, Ubuntu: apt install python3-venv), then run make again" >&2
    exit 1
fi
echo "metatl: creating $folder with $("$python" --version)"
"$python" -m venv "$folder"
