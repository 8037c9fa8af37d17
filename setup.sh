#!/usr/bin/env bash
# Makes .venv beside this file and installs the package into it, with exactly the versions of
# constraints.txt.
#
#   bash setup.sh            to use it
#   bash setup.sh test       with what the tests need; any extra of pyproject.toml will do
#
# Needs Python 3.11 or newer (another one: PYTHON=python3.12 bash setup.sh). Debian and Ubuntu split
# Python's venv module off; where it is missing this installs it, as root or through sudo.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
python=${PYTHON:-python3}
extra=${1:-}

fail() {
    echo "setup.sh: $*" >&2
    exit 2
}

command -v "$python" >/dev/null || fail "no $python found; install Python 3.11 or newer."
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$("$python" --version) is too old; name a newer one: PYTHON=python3.12 bash setup.sh"

if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    command -v apt-get >/dev/null || fail "$python has no venv module; install it and try again."
    package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    sudo=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || fail "as root, run: apt-get install $package"
        sudo=(sudo)
    fi
    "${sudo[@]}" apt-get update
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y "$package"
fi

[ -x .venv/bin/pip ] || "$python" -m venv --clear .venv
.venv/bin/pip install -c constraints.txt -e ".${extra:+[$extra]}"
