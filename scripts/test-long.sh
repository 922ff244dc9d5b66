#!/usr/bin/env bash
# `make test-long`: every property again, ROUNDS times, each round with new examples, then the long fuzz.
# Prints the command that replays a round before it begins. Variables, all optional:
#   ROUNDS   rounds of all properties (default 5; 0: only the fuzz)
#   SEED     seed of the first round and of the fuzz (default: drawn); the next rounds take SEED+1, SEED+2, ...
#   TESTS    files or tests to run in place of all, for example tests/properties/test_network.py
#   PACKETS  packets of the fuzz (default 2000000; 0: only the properties)
# The status is 0 only if everything passed.
set -uo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh tests || exit
rounds=${ROUNDS:-5}
seed=${SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
packets=${PACKETS:-2000000}
for value in "$rounds" "$seed" "$packets"; do
    case $value in
        '' | *[!0-9]*)
            echo "make test-long: ROUNDS, SEED and PACKETS are whole numbers, not '$value'" >&2
            exit 2
            ;;
    esac
done
read -r -a tests <<< "${TESTS:-tests}"

status=0
for ((round = 0; round < rounds; round++)); do
    number=$((seed + round))
    echo "== properties, round $((round + 1)) of $rounds, seed $number"
    echo "   to replay: make test-long ROUNDS=1 PACKETS=0 SEED=$number${TESTS:+ TESTS='$TESTS'}"
    .venv/bin/pytest -n auto -m "hypothesis and not lab" --hypothesis-profile long \
        --hypothesis-seed "$number" "${tests[@]}" || status=1
done
if [ "$packets" -gt 0 ]; then
    echo "== fuzz of $packets packets, seed $seed"
    .venv/bin/python -P scripts/fuzz.py --packets "$packets" --seed "$seed" || status=1
fi
exit $status
