#!/usr/bin/env bash
# What:     installs ktg and the versions in constraints.txt into .venv of this checkout, and nothing outside of it
#           but uv's cache. A second run sees that nothing has changed and does nothing.
# Where:    Linux or macOS with bash, Python 3.11 or newer, a network and 8 GB of disk.
#           uv is used where it is on the PATH; where it is not, it is installed into .venv too.
# How long: one to six minutes the first time, as the network allows; then less than a second.
# Example:  bash launch/install.sh                             what running ktg needs
#           bash launch/install.sh dev                         and what testing it needs
#           UV_TORCH_BACKEND=cpu bash launch/install.sh        a far smaller PyTorch, for machines without a GPU
#           UV_PYTHON=python3.12 bash launch/install.sh        another Python
set -euo pipefail
unset CDPATH
cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

extra=${1:-}
[[ $extra == "" || $extra == dev ]] || { echo "install: unknown extra '$extra'; allowed: dev, or nothing" >&2; exit 2; }
level=${extra:-base}
busy=.venv/installing
python=.venv/bin/python
needed_gb=8

say() { echo "install: $*" >&2; }
stop() { say "$@"; exit 1; }
recent() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

# What an installation depends on: also the place, because the scripts in .venv/bin hold its full path.
state() { { pwd; echo "${UV_TORCH_BACKEND:-}"; cat pyproject.toml constraints.txt ktg/version.py; } | cksum; }

# Whether .venv was made here, no installation into it was cut short, and its Python still runs.
usable() { [[ ! -e $busy ]] && grep -qsF "$PWD/.venv" .venv/bin/activate && recent "$python"; }

# Whether this was installed before; the installation for tests serves for running too.
installed() { [[ $(cat ".venv/installed-$level" 2>/dev/null) == "$1" || $(cat .venv/installed-dev 2>/dev/null) == "$1" ]]; }

check_disk() {
    local free_gb
    free_gb=$(df -Pk . | awk 'NR == 2 { print int($4 / 1024 / 1024) }')
    ((free_gb >= needed_gb)) || [[ ${UV_TORCH_BACKEND:-} == cpu ]] ||
        stop "needs $needed_gb GB of disk, and $PWD has $free_gb GB left." \
            "Without a GPU, UV_TORCH_BACKEND=cpu needs 2 GB."
}

make_venv() {
    rm -rf .venv
    check_disk
    if command -v uv >/dev/null; then
        uv venv --quiet .venv || stop "uv could not make .venv; its reason is above. ktg needs Python 3.11 or newer."
        return
    fi
    local candidate found=""
    for candidate in "${UV_PYTHON:-python3}" python3 python3.13 python3.12 python3.11; do
        if recent "$candidate"; then found=$candidate && break; fi
    done
    [[ $found ]] || stop "needs Python 3.11 or newer; here is $(python3 --version 2>/dev/null || echo no python3)." \
        "Install one, or install uv, which brings its own."
    "$found" -m venv .venv || stop "$found could not make .venv; its reason is above." \
        "On Debian and Ubuntu: apt install python3-venv."
}

# Sets `uv` to the uv of this machine, or to one that is put into .venv.
find_uv() {
    uv=$(command -v uv) && return
    uv=.venv/bin/uv
    [[ -x $uv ]] || "$python" -m pip install -qq uv || stop "could not fetch uv; is there a network?"
    # Who has set a mirror for pip, but has no uv, means it for this installation too.
    local mirror
    mirror=${PIP_INDEX_URL:-$("$python" -m pip config get global.index-url 2>/dev/null || true)}
    [[ -z $mirror || ${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-} ]] || export UV_DEFAULT_INDEX=$mirror
}

# One installation at a time. The lock is on a file that is always there, and nothing is written to it.
exec 9>>pyproject.toml
if command -v flock >/dev/null && ! flock --nonblock 9; then
    say "waits for another installation into $PWD/.venv"
    flock 9
fi
wanted=$(state)
if installed "$wanted" && usable; then
    exit 0
fi
say "into $PWD/.venv; the first time this takes minutes"
usable || make_venv
rm -f .venv/installed-*
touch "$busy" # stays if this is interrupted: then packages may lack files, and the next run begins anew
find_uv
"$uv" pip install --python "$python" --compile-bytecode --constraint constraints.txt --editable ".${extra:+[$extra]}" ||
    stop "did not finish; the reason is above. Check the network (uv reads UV_DEFAULT_INDEX, HTTPS_PROXY and" \
        "SSL_CERT_FILE) and the disk ($(df -Ph . | awk 'NR == 2 { print $4 }') left), then run this again:" \
        "what was fetched is kept."
echo "$wanted" >".venv/installed-$level"
rm "$busy"
