#!/usr/bin/env bash
# Writes requirements.lock from what .venv holds now. Run it after changing the dependencies and testing them.
set -euo pipefail
cd "$(dirname "$0")/.."

{
    echo "# Every package of a working environment, exactly: what \`make setup\` installs. Made by scripts/lock.sh."
    .venv/bin/pip freeze --exclude-editable
    .venv/bin/pip freeze --all | grep '^setuptools=='
} | awk 'NR == 1 { print; next } !/^#/ && !seen[$0]++ { print | "LC_ALL=C sort -f" }' > requirements.lock.partial
mv requirements.lock.partial requirements.lock
