#!/bin/sh
# What a machine with a CUDA card is asked, in at most 25 minutes: parity with the processor, `metatl profile` against
# the peers on the same card, and a whole published meta-training (60,000 iterations of MAML on Omniglot).
#
#   sh scripts/gpu_check.sh [FOLDER for what comes back, default results/gpu]
#
# PYTHON: an interpreter with torch for CUDA and what metatl requires (default: .venv/bin/python, else python3); with
# higher and learn2learn beside it they are timed too. METATL_DATA: where data sets lie; without Omniglot the run is
# left out. CONFIG: the run (default configs/omniglot/maml_5w1s.yaml). Exits with the number of parts that failed.
set -u
cd "$(dirname "$0")/.."
out=${1:-results/gpu}
mkdir -p "$out"
out=$(cd "$out" && pwd)
config=${CONFIG:-configs/omniglot/maml_5w1s.yaml}
if [ -z "${PYTHON:-}" ]; then
    PYTHON=python3
    [ -x .venv/bin/python ] && PYTHON=.venv/bin/python
fi
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
failed=0

part() { # part LABEL SECONDS COMMAND...: one part, its output kept
    label=$1 seconds=$2
    shift 2
    echo "== $label (at most $seconds s)"
    start=$(date +%s)
    timeout "$seconds" "$@" >"$out/$label.log" 2>&1
    code=$?
    tail -n 25 "$out/$label.log"
    echo "== $label: exit code $code after $(($(date +%s) - start)) s"
    [ "$code" -eq 0 ] || failed=$((failed + 1))
}

"$PYTHON" -c '
import sys, torch
if not torch.cuda.is_available():
    sys.exit("metatl: torch finds no CUDA device here; this check needs one")
print(torch.cuda.get_device_name(), "torch", torch.__version__, "CUDA", torch.version.cuda, "Python", sys.version.split()[0])
' || exit 1

part parity 420 "$PYTHON" -m pytest tests/gpu -m gpu -q -p no:cacheprovider
part profile 480 "$PYTHON" -m metatl.lab.cli profile W1 W3 W2 W4 --device cuda --repeats 5 --seconds 5 \
    --out "$out/profile-cuda.json"
part beside 180 "$PYTHON" -m metatl.lab.cli profile evaluation scouts sampling --device cuda --repeats 2 \
    --out "$out/beside-cuda.json"
if [ ! -f "$config" ]; then
    echo "== run: left out, $config is not there"
elif ! "$PYTHON" -m metatl.lab.cli data verify omniglot >"$out/data.log" 2>&1; then
    echo "== run: left out, Omniglot is not here (METATL_DATA): $(tail -n 1 "$out/data.log")"
else
    part run 420 "$PYTHON" -m metatl.lab.cli run "$config" --device cuda --precision tf32 --runs "$out/runs"
fi
echo "== $failed part(s) failed; written to $out"
exit "$failed"
