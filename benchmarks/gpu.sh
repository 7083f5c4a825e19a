#!/usr/bin/env bash
# Measure training on a GPU, on a machine that has Python and torch:
#   benchmarks/gpu.sh RESULTS.json [--data data/fashion_mnist] [--minutes 8]
# What else it needs is taken from wheels in $WHEELS (default: .whl), which are
# installed into a folder of their own and not into the machine's Python. Where
# pip reaches an index, fetch them there first:
#   python3 -m pip download --no-deps -d .whl -r requirements/gpu.txt
set -euo pipefail
if [ $# -lt 1 ]; then
    sed -n 2,7p "$0" >&2
    exit 2
fi
results=$(realpath -m "$1")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-python3}
wheels=${WHEELS:-.whl}
site=$(mktemp -d)
trap 'rm -rf "$site"' EXIT
if compgen -G "$wheels/*.whl" >/dev/null; then
    "$python" -m pip install -q --no-index --no-deps --no-compile \
        --target "$site" "$wheels"/*.whl
fi
export PYTHONPATH="$PWD:$site${PYTHONPATH:+:$PYTHONPATH}"
"$python" -W ignore -m benchmarks.gpu --json "$results" "${@:2}"
