#!/usr/bin/env bash
# `make bench`: experiments/bulk.yaml in the simulator and, where one can be had, in a lab, one run at a time;
# then the datapath without any shaping, beside Linux's own.
set -euo pipefail
cd "$(dirname "$0")/.."

for net in sim mininet; do
    if [ $net = mininet ] && [ "$(.venv/bin/testbed doctor --way)" = sim ]; then
        echo "no lab can be had here (testbed doctor says why)"
        continue
    fi
    rm -rf results/bench-$net
    .venv/bin/testbed run experiments/bulk.yaml --net $net --jobs 1 --out results/bench-$net > /dev/null
    echo "== $net"
    .venv/bin/python -P scripts/bench.py results/bench-$net
done

if [ "$(.venv/bin/testbed doctor --way)" != sim ]; then
    echo "== datapath"
    .venv/bin/testbed bench datapath --profile
fi
