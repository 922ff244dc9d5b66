#!/usr/bin/env bash
# `make test`: types and style, then the tests that need no root, then those in labs where a lab can be had,
# three files at a time: labs mostly wait, and none sees the other. Everything runs even where an earlier part
# failed; the status is 0 only if all of it is well. Ends with pytest's own closing lines.
set -uo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh tests || exit
status=0
way=$(.venv/bin/testbed doctor --way)
[ "$way" != sim ] || echo "no lab can be had here (testbed doctor says why): the tests in labs are left out"

scripts/lint.sh || { status=1; echo "lint failed; the tests go on" >&2; }
echo "== tests without root"
.venv/bin/pytest -n auto --dist worksteal -m "not lab" || status=1
if [ "$way" != sim ]; then
    echo "== tests in labs"
    .venv/bin/pytest -n 3 --dist loadfile -m lab || status=1
fi
exit $status
