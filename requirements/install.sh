#!/bin/sh
# Makes .venv with the locked versions and Penstock itself. Run by make; does no harm when run again.
set -eu
cd "$(dirname "$0")/.."

PYTHON_IN_VENV=.venv/bin/python
# pip warns about root also where, as here, it installs into an environment of its own.
export PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1

fail() {
    echo "setup: $*" >&2
    exit 1
}

is_python_311() {
    command -v "$1" >/dev/null 2>&1 && "$1" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null
}

find_python() {
    for candidate in python3.11 python3; do
        if is_python_311 "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    fail "Python 3.11 is needed, but neither python3.11 nor a python3 of that version is on PATH;" \
        "install it (Debian 12: apt install python3.11 python3.11-venv; anywhere: uv python install 3.11)"
}

has_uv() {
    command -v uv >/dev/null 2>&1
}

make_environment() {
    python=$(find_python)
    if has_uv; then
        uv venv --quiet --python "$(command -v "$python")" .venv
    elif "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        "$python" -m venv .venv
    else
        fail "$python cannot make environments; install python3.11-venv (apt install python3.11-venv) or uv"
    fi
}

install() {
    if has_uv; then
        uv pip install --python "$PYTHON_IN_VENV" "$@"
    else
        # An environment that uv made, or that was interrupted in the making, has no pip.
        "$PYTHON_IN_VENV" -m pip --version >/dev/null 2>&1 || "$PYTHON_IN_VENV" -m ensurepip >/dev/null
        "$PYTHON_IN_VENV" -m pip install --quiet --no-compile "$@"
    fi
}

if [ ! -e .venv ]; then
    make_environment
elif ! is_python_311 "$PYTHON_IN_VENV"; then
    fail ".venv is there, but holds no Python 3.11; remove it (make clean) and try again"
fi

echo "setup: installing the locked versions into .venv (minutes the first time)"
install --no-deps -r requirements/lock.txt
# By all cores; pip would do it by one, and uv not at all.
"$PYTHON_IN_VENV" -m compileall -qq -j 0 "$PWD/.venv/lib" ||
    echo "setup: some modules were not compiled; they will be when they are first imported" >&2
# setuptools warns of every editable installation that folders of the package's name may hide it; ours has one name.
PYTHONWARNINGS=ignore install --no-deps --no-build-isolation -e .
