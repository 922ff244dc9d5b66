# setup  system packages (as root) and .venv; does nothing where nothing is missing
# run    the fallback experiment in a real lab: a table, a figure, a report
# test   style, types, all tests; random examples are the same each time
# test-long  all properties with new random examples, then two million packets of the fuzz; prints what replays
#        a failure. ROUNDS=5 SEED=... TESTS=... PACKETS=2000000: see scripts/test-long.sh
# fuzz   the fuzz alone: ARGS='--packets 100000 --seed 7', ARGS='--replay 7000123', ARGS=--help
# test-fast  the tests that need no root and no patience, in parallel
# bench  one bulk transfer in the simulator and in a lab: goodput, packets per second, CPU and memory; then
#        the datapath unshaped, beside Linux's own Multipath TCP, with a profile

.PHONY: setup run test test-fast test-long fuzz lint bench

setup:
	@scripts/setup.sh

run: setup
	@scripts/run.sh

test: setup
	@scripts/test.sh

test-fast: setup
	@.venv/bin/pytest -n auto -m "not lab and not slow"

test-long: setup
	@ROUNDS="$(ROUNDS)" SEED="$(SEED)" TESTS="$(TESTS)" PACKETS="$(PACKETS)" scripts/test-long.sh

fuzz: setup
	@.venv/bin/python -P scripts/fuzz.py $(ARGS)

lint: setup
	@scripts/lint.sh

bench: setup
	@scripts/bench.sh
