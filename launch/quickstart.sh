#!/usr/bin/env bash
# What:     installs ktg into .venv of this checkout, searches the best knowledge-transfer graph for handwritten
#           digits of which two fifths have a wrong label, and exports it: best.yaml, best.svg, and an MLflow experiment in mlflow.db.
# Where:    Linux or macOS with bash, Python 3.11 or newer and 8 GB of disk; two CPU cores are enough, no GPU needed.
#           The network is needed for the installation only.
# How long: the installation one to six minutes, the search about four on two idle cores, more on busy ones; a
#           second run takes seconds.
# Example:  bash launch/quickstart.sh
#           bash launch/quickstart.sh --trials 20 --seed 1     searches again; options go to `ktg search`
#           bash launch/quickstart.sh --name other             under another name; best.yaml stays as it is
set -euo pipefail
unset CDPATH
caller=$PWD
cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
space=search_spaces/quickstart.yaml

finished() {
    .venv/bin/python - <<'PYTHON'
import os
import sys

from ktg.errors import UserError
from ktg.tracking import DEFAULT_URI, find_experiment

try:
    searches = find_experiment("quickstart", os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI).searches()
except UserError:
    sys.exit(1)
sys.exit(not any(search.state == "finished" for search in searches))
PYTHON
}

bash launch/install.sh
if (($# == 0)) && finished; then
    echo "A search of this quickstart is done already. Another one, of all its 32 trials: ktg search $space"
else
    .venv/bin/ktg search "$space" "$@"
fi
if [[ $(command -v ktg) != "$PWD/.venv/bin/ktg" || $caller != "$PWD" ]]; then
    printf '\nTo use ktg in this shell, type first:\n  cd %q && source .venv/bin/activate\n' "$PWD"
fi
# A search of another name, or in another store, has said itself how to export it.
if [[ " $*" != *" --name"* && " $*" != *" --tracking-uri"* ]]; then
    echo
    .venv/bin/ktg export quickstart -o best.yaml --force
fi
