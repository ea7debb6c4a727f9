#!/bin/sh
# Run the tests with the Python of a Debian release, without a browser; needs root and debootstrap.
#
#     tests/interpreters.sh trixie FOLDER     # Python 3.13
#     tests/interpreters.sh forky FOLDER      # Python 3.14
#
# FOLDER must not exist: it gets the release's root (about 5 GB), a clone of the last commit, and the
# output of the tests in tests.log. Delete it afterwards. The checks in Node are left out: they are
# about the version of Node, not of Python.
set -eu
release=${1:?name a release of Debian, such as trixie}
root=${2:?name a folder that does not exist}
mkdir "$root"
root=$(cd "$root" && pwd)

# An older debootstrap does not know the newest release, but can make it as it makes sid.
script=/usr/share/debootstrap/scripts/$release
[ -e "$script" ] || script=/usr/share/debootstrap/scripts/sid
debootstrap --variant=minbase \
  --include=ca-certificates,gcc,git,libc6-dev,make,nodejs,procps,python3-dev,python3-venv \
  "$release" "$root" '' "$script" > "$root.log"
# What this machine needs to reach the index of packages.
cp -L --remove-destination /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
cp -L --remove-destination /etc/resolv.conf /etc/hosts "$root/etc/"
cp /etc/pip.conf "$root/etc/" 2>/dev/null || true
git clone -q "$(dirname "$0")/.." "$root/resleak"

# Mounts and processes of the root end with it.
unshare --mount --pid --fork --kill-child sh -eu -c '
  mount -t proc proc "$0/proc"
  mount --rbind /dev "$0/dev"
  chroot "$0" sh -c "cd /resleak && python3 --version && make setup && .venv/bin/python -m pytest \
    -n 2 -m \"not nightly and not browser\" -v --ignore tests/scenarios/test_node_checks.py" 2>&1
' "$root" | tee "$root/tests.log" | grep -E '^Python|FAILED|ERROR|passed|failed'
