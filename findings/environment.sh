# Sourced by every finding: run a Python program from standard input beside the packages named, in a folder of its own
# that is removed afterwards.
set -euo pipefail

with_packages() {
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    cd "$folder"
    "${PYTHON:-python3}" -m venv venv
    venv/bin/python -m pip install --quiet --disable-pip-version-check "$@" 2> pip.log || { cat pip.log >&2; return 1; }
    venv/bin/python -W ignore -
}
