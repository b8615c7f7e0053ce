#!/bin/sh
# Builds the Python plugin: build.sh OUTPUT. Needs python3 with venv; the first run installs componentize-py from the
# package index that pip is configured for.
set -eu

if [ $# -ne 1 ]; then
    echo "usage: $0 OUTPUT.wasm" >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
wit=$here/../../wit/0.1.0
work=${CARGO_TARGET_DIR:-$here/../../target}/python-plugin
mkdir -p "$work" "$(dirname "$1")"
work=$(cd "$work" && pwd)
output=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")

# Each build contains a new hash seed of Python. An output that is up to date is kept, so that its bytes and its compiled
# form stay the same.
stale=yes
if [ -f "$output" ]; then
    stale=$(find "$here/app.py" "$here/build.sh" "$here/requirements.txt" "$wit" -newer "$output" -type f)
fi
if [ -z "$stale" ]; then
    echo "up to date: $output"
    exit 0
fi

# The copy of the requirements comes last, so that an interrupted install runs again. A virtual environment does not work at
# another path, so one that was moved is built again.
if ! cmp -s "$here/requirements.txt" "$work/requirements.txt" ||
    ! "$work/venv/bin/componentize-py" --version >/dev/null 2>&1; then
    echo "creating a virtual environment in $work/venv"
    rm -rf "$work/venv"
    python3 -m venv "$work/venv"
    "$work/venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
    cp "$here/requirements.txt" "$work/requirements.txt"
fi

# WASI is not stubbed: the host denies it, and a stub would drop the traceback on stderr.
echo "building $output"
partial=$output.partial
cd "$here"
PYTHONDONTWRITEBYTECODE=1 "$work/venv/bin/componentize-py" -d "$wit" -w plugin componentize app -o "$partial"
mv "$partial" "$output"
