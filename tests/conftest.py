"""What all tests share: Hypothesis' settings, packet ladders of failing tests, Ctrl-C, garbage collection.

Two Hypothesis profiles. `fixed`, the default: the examples follow from the test's source alone, so that a
test fails for a change only, never by chance. `long`, chosen by `--hypothesis-profile long` (make test-long):
new examples each time. A failure prints how to replay it. Neither has a deadline: no property fails because
the machine was busy.

A failing test prints the packet ladder and the seed of the last Pairs that it made. Programs that tests start
obey Ctrl-C, also when the tests run in the background of a shell, where SIGINT is ignored and inherited.
Garbage is collected less often, as in a worker of a campaign: simulations make many objects and few cycles.
"""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "fixed",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=True,
    database=None,
)
settings.register_profile(
    "long", parent=settings.get_profile("fixed"), derandomize=False, database=None, print_blob=True
)
settings.load_profile("fixed")

MOST_LINES = 400
gc.set_threshold(100_000, *gc.get_threshold()[1:])

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _pairs() -> list[Any]:
    """Only if the test imported tests.pair: it needs the protocol core, others do not."""
    module = sys.modules.get("tests.pair")
    return module.made if module is not None else []


@pytest.fixture(autouse=True)
def _forget_pairs() -> Iterator[None]:
    _pairs().clear()
    yield
    _pairs().clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    if report.when == "call" and report.failed:
        for number, pair in enumerate(_pairs()[-3:]):
            lines = pair.ladder().splitlines()
            if len(lines) > MOST_LINES:
                half = MOST_LINES // 2
                lines = [*lines[:half], f"... {len(lines) - 2 * half} lines ...", *lines[-half:]]
            report.sections.append((f"packet ladder {number}", "\n".join(lines)))
    return report
