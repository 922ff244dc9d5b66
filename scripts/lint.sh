#!/usr/bin/env bash
# `make lint`: style with ruff, types with mypy --strict.
set -uo pipefail
cd "$(dirname "$0")/.."

status=0
.venv/bin/ruff check --quiet . || status=1
.venv/bin/ruff format --check --quiet . || { echo "some files are not formatted: .venv/bin/ruff format" >&2; status=1; }
.venv/bin/mypy || status=1
exit $status
