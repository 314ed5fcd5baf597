#!/bin/sh
# Installs higher and learn2learn beside metatl, with the Python of the virtual environment FOLDER (default: .venv).
#
# learn2learn 0.2.0 ships Cython output of 2022 that no longer compiles on Python >= 3.11; naming build_ext makes
# its setup.py translate the .pyx files anew. Its declared requirements are not installed (they would replace torch
# by a build with CUDA and bring gsutil and qpth): only what it imports.
set -eu
folder=$(cd "${1:-.venv}" && pwd)
python=$folder/bin/python
cd "$(dirname "$0")/.."
install="$python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt"

echo "metatl: installing the peer higher into $folder"
$install higher

compiler=${CC:-$("$python" -c 'import sysconfig; print(sysconfig.get_config_var("CC") or "cc")')}
headers=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
# shellcheck disable=SC2086  # CC may carry flags
if ! echo '#include <Python.h>' | $compiler -I"$headers" -E - >/dev/null 2>&1; then
    echo "metatl: no C compiler with Python's headers ($compiler): going on without learn2learn, its checks will be skipped"
    exit 0
fi

echo "metatl: building the peer learn2learn into $folder (about half a minute)"
$install setuptools wheel Cython requests scipy tqdm pillow
$install --no-deps torchvision
$install --no-deps --no-build-isolation gym
$install --no-deps --no-build-isolation --use-pep517 --config-settings=--global-option=build_ext learn2learn
touch "$folder/.peers"
