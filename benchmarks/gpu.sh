#!/usr/bin/env bash
# What:     measures on a GPU what a search spends its time on: training steps of three networks in float32, bfloat16,
#           compiled and as CUDA graphs, several trainings at once, a teacher's outputs, and fractals drawn meanwhile.
#           Appends one line of JSON for each to benchmarks/results/gpu.jsonl, and skips what is there.
# Where:    a machine with a CUDA GPU and PyTorch, in .venv of this checkout or in the Python on the path.
# How long: up to eight minutes; interrupted, it goes on where it was.
# Example:  bash benchmarks/gpu.sh
#           bash benchmarks/gpu.sh --tiny --cpu --output try.jsonl      tries the script on small networks
set -euo pipefail
unset CDPATH
root=$(cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
python=$root/.venv/bin/python
[[ -x $python ]] || python=$(command -v python3)
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
exec "$python" "$root/benchmarks/gpu.py" "$@"
