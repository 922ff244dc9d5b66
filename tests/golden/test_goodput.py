"""Goodput and shares of every scheduler and controller are what goodput.txt says, to the digit.

A change of the stack that moves them is seen here: `python -m tests.golden.grid` writes the table anew, and
the diff is read before it is committed.
"""

from __future__ import annotations

import pytest

from tests.golden.grid import BUFFERS, LOSSES, RATES, RTTS, TABLE, Key, header, keys, row, written

MEND = "`python -m tests.golden.grid` writes the table anew; read the diff"


def differences(some: list[Key]) -> str:
    table = written()
    found = [(key, row(key)) for key in some]
    return "\n".join(f"- {table[str(key)]}\n+ {now}" for key, now in found if table[str(key)] != now)


def test_the_table_is_whole() -> None:
    assert TABLE.read_text().splitlines()[: len(header())] == header()
    assert len(written()) == len(keys())


@pytest.mark.parametrize(
    "key", [one for one in keys() if one[:4] == (RATES[1], RTTS[1], LOSSES[1], BUFFERS[1])]
)
def test_a_few_rows(key: Key) -> None:
    different = differences([key])
    assert not different, f"{MEND}\n{different}"


@pytest.mark.slow
@pytest.mark.parametrize("rtts", RTTS)
@pytest.mark.parametrize("rates", RATES)
def test_every_row(rates: tuple[int, int], rtts: tuple[int, int]) -> None:
    different = differences([key for key in keys() if (key.rates, key.rtts) == (rates, rtts)])
    assert not different, f"{MEND}\n{different}"
