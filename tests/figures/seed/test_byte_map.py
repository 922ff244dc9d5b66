"""Byte maps: fields found by asking the codec stand where the RFCs draw them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from testbed.figures.seed.byte_map import REST, byte_map, layout
from testbed.mptcp.wire import Dss, MpCapable

KEYS: Any = {"sender_key": 0x1FDB5DF328BC3DEF, "receiver_key": 0x29A6C86981AD933C}
HEAD = [("Kind", 0, 8), ("Length", 8, 16), ("Subtype", 16, 20)]
BOTH = [("sender_key", 32, 96), ("receiver_key", 96, 160)]


def places(option: MpCapable | Dss) -> list[tuple[str, int, int]]:
    return [(one.name, one.begin, one.end) for one in layout(option)]


@pytest.mark.parametrize("key", [0, 0x1FDB5DF328BC3DEF, (1 << 64) - 1])
def test_capable_with_data_as_in_rfc_8684_figure_4(key: int) -> None:
    long = MpCapable(1, 0x81, key, key, 5, 0x053E)
    head = [*HEAD, ("version", 20, 24), ("flags", 24, 32)]
    assert places(long) == [*head, *BOTH, ("data_length", 160, 176), ("checksum", 176, 192)]
    assert places(MpCapable(1, 0x01, key, key)) == [*head, *BOTH]
    assert places(MpCapable(1)) == head


def test_dss_as_in_rfc_8684_figure_9() -> None:
    whole = Dss(7, True, 9, True, 1, 5, 0x1234)
    numbers = [("data_ack", 32, 96), ("dsn", 96, 160), ("ssn", 160, 192)]
    end = [("length", 192, 208), ("checksum", 208, 224)]
    assert places(whole) == [*HEAD, (REST, 20, 32), *numbers, *end]
    short = Dss(dsn=9, ssn=1, length=5)
    assert places(short) == [*HEAD, (REST, 20, 32), ("dsn", 32, 64), ("ssn", 64, 96), ("length", 96, 112)]


@pytest.mark.parametrize(
    "option",
    [MpCapable(2, 0x01, **KEYS), MpCapable(2, 0x81, **KEYS, data_length=300, checksum=0x66BE), Dss(7, True)],
)
def test_the_bytes_drawn_are_those_encoded(option: MpCapable | Dss) -> None:
    svg = byte_map(option, "an option")
    monospaced = re.findall(r"<text [^>]*monospace[^>]*>([^<]+)</text>", svg)
    assert "".join("".join(monospaced).split()) == option.encode().hex()
