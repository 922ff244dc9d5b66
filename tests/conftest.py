"""Prints the packet ladder and the seed of every Pair that a failing test made; programs that tests start
heed Ctrl-C, also when the tests run in a shell's background, which ignores it and hands that down. No
property fails because the machine was busy. Garbage is looked for less often, as in a worker of a campaign:
simulations make many objects and few cycles."""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

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
