#!/usr/bin/env bash
# `make test`: types and style, then the tests that need no root, then those in labs where a lab can be had.
# Everything runs even where an earlier part failed; the status is 0 only if all of it is well.
set -uo pipefail
cd "$(dirname "$0")/.."

failed=()
scripts/lint.sh || failed+=(lint)
.venv/bin/pytest -n auto -m "not lab" || failed+=("tests without root")
if [ "$(.venv/bin/testbed doctor --way)" = sim ]; then
    echo "no lab can be had here (testbed doctor says why): the tests in labs are left out"
else
    .venv/bin/pytest -m lab || failed+=("tests in labs")
fi
if [ ${#failed[@]} -gt 0 ]; then
    printf 'failed: %s\n' "${failed[@]}" >&2
    exit 1
fi
