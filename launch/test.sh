#!/usr/bin/env bash
# What:     installs ktg with its test tools into .venv of this checkout, then checks style (ruff) and types (mypy) and
#           runs the test suite (pytest). Exits with 0 only if all of them pass.
# Where:    Linux or macOS with bash, Python 3.11 or newer and 8 GB of disk; two CPU cores are enough, no GPU needed.
#           The network is needed for the installation only.
# How long: the installation one to six minutes, once; the tests about fifteen, the fast ones three to four.
# Example:  bash launch/test.sh
#           bash launch/test.sh -m "not slow" -n 2               the fast ones, on two cores
#           bash launch/test.sh tests/training -k resume         options go to pytest
set -euo pipefail
unset CDPATH
cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

failed=()
step() {
    echo "== $*" >&2
    ".venv/bin/$1" "${@:2}" || failed+=("$1 ${2:-}")
}

bash launch/install.sh dev
step ruff check --quiet .
step ruff format --check --quiet .
step mypy --no-error-summary
if (($#)); then
    step pytest "$@"
else # Ray starts two workers for a slow test: by themselves these have the cores they expect
    step pytest -m "not slow" -n 2
    step pytest -m slow
fi
if ((${#failed[@]})); then
    printf 'failed: %s\n' "${failed[@]}" >&2
    exit 1
fi
