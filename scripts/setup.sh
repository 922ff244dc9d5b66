#!/usr/bin/env bash
# Makes a bare machine ready: system packages (as root, on Debian and Ubuntu) and the Python environment .venv.
# Says what it does and how long it took, asks nothing, and does nothing where nothing is missing. `make run`,
# `make test`, the Vagrant VM and the continuous integration all come through here; the tests alone say
# `setup.sh tests`, for a browser.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PATH:/usr/sbin:/sbin"
began=$SECONDS

# command -> Debian package. A lab needs mnexec, ifconfig and ip; the tests use the others.
declare -A packages=(
    [mnexec]=mininet [ifconfig]=net-tools [ip]=iproute2 [ethtool]=ethtool
    [nft]=nftables [tcpdump]=tcpdump [tshark]=tshark [curl]=curl [mptcpize]=mptcpize [ping]=iputils-ping
)
if [ "${1:-}" = tests ]; then
    packages+=([chromium]=chromium [chromedriver]=chromium-driver)
fi

system_packages() {
    local missing=() command
    for command in "${!packages[@]}"; do
        command -v "$command" > /dev/null || missing+=("${packages[$command]}")
    done
    if ! python3 -I -c 'import ensurepip, venv' 2> /dev/null; then
        missing+=(python3-venv)
    fi
    [ ${#missing[@]} -gt 0 ] || return 0
    if ! command -v apt-get > /dev/null; then
        echo "setup: not found here: ${missing[*]}; install them with this system's package manager" >&2
    elif [ "$(id -u)" -ne 0 ]; then
        echo "setup: not root, so not installed: sudo apt-get install ${missing[*]}" >&2
    else
        echo "setup: installing system packages: ${missing[*]}"
        local options=(-y -q --no-install-recommends -o Dpkg::Use-Pty=0)
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -q > /dev/null || echo "setup: apt-get update failed; going on with the known packages" >&2
        if ! apt-get install "${options[@]}" "${missing[@]}" > /dev/null; then
            # One package that this release lacks must not keep the others away.
            local package
            for package in "${missing[@]}"; do
                apt-get install "${options[@]}" "$package" > /dev/null ||
                    echo "setup: $package could not be installed; going on without it" >&2
            done
        fi
    fi
}

find_python() {
    local name
    for name in "${PYTHON:-python3}" python3.13 python3.12 python3.11 python3.14; do
        if "$name" -I -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null; then
            echo "$name"
            return
        fi
    done
    echo "setup: Python 3.11 or newer is needed; on Debian and Ubuntu: sudo apt-get install python3.11-venv" >&2
    exit 3
}

python_packages() {
    local stamp=.venv/.setup want
    want=$(cat requirements.lock pyproject.toml setup.py | sha256sum)
    if .venv/bin/python -P -c 'import testbed' 2> /dev/null && [ "$(cat $stamp 2> /dev/null)" = "$want" ]; then
        return 0
    fi
    local python
    python=$(find_python)
    echo "setup: installing Python packages into .venv (about 40 s)"
    if ! .venv/bin/python -P -c 'import pip' 2> /dev/null; then
        "$python" -P -m venv --clear .venv || {
            echo "setup: python3-venv is missing: sudo apt-get install python3-venv" >&2
            exit 3
        }
    fi
    .venv/bin/pip install -q --disable-pip-version-check -r requirements.lock
    .venv/bin/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
    echo "$want" > $stamp
}

system_packages
python_packages
[ $((SECONDS - began)) -lt 2 ] || echo "setup: done in $((SECONDS - began)) s"
