#!/usr/bin/env bash
# Make the environment of the peers, with pinned versions: tests/bench/peers/install.sh [FOLDER]
# What can't be installed is said and left out; the benchmark tells it too.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
venv=${1:-$root/var/peers}

"$root/deploy/venv.sh" "$venv"
pip=("$venv/bin/python" -m pip install --quiet --disable-pip-version-check)
if "${pip[@]}" -r "$here/requirements.txt"; then
  echo "the peers are in $venv"
  exit 0
fi
echo "not all peers can be had together; trying one by one" >&2
grep -v '^#' "$here/requirements.txt" | while read -r pinned; do
  "${pip[@]}" "$pinned" -c "$here/requirements.txt" || echo "left out: $pinned" >&2
done
