# setup  system packages (as root) and .venv; does nothing where nothing is missing
# run    the fallback experiment in a real lab: a table, a figure, a report
# test   style, types, all tests
# test-fast  the tests that need no root and no patience, in parallel
# bench  one bulk transfer in the simulator and in a lab: goodput, packets per second, CPU and memory; then
#        the datapath unshaped, beside Linux's own Multipath TCP, with a profile

.PHONY: setup run test test-fast lint bench

setup:
	@scripts/setup.sh

run: setup
	@scripts/run.sh

test: setup
	@scripts/test.sh

test-fast: setup
	@.venv/bin/pytest -n auto -m "not lab and not slow"

lint: setup
	@scripts/lint.sh

bench: setup
	@scripts/bench.sh
