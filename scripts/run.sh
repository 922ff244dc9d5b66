#!/usr/bin/env bash
# `make run`: the fallback experiment in a real lab; where no lab can be had, in the simulator. Asks nothing.
# Further arguments go to `testbed run`.
set -euo pipefail
cd "$(dirname "$0")/.."

net=()
case "$(.venv/bin/testbed doctor --way)" in
    root) echo "a Mininet lab in namespaces of its own; about two minutes" ;;
    user) echo "about two minutes" ;; # testbed run says the rest
    *)
        why=$([ "$(id -u)" -eq 0 ] && echo "no lab can be had here" || echo "not root, and no lab can be had without")
        echo "$why (testbed doctor says why), so this runs in the simulator" >&2
        net=(--net sim)
        ;;
esac
began=$SECONDS
.venv/bin/testbed run experiments/fallback.yaml "${net[@]}" "$@"
echo "time     $((SECONDS - began)) s"
