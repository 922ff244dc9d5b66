"""Slide 5, "Combining MP_CAPABLE with DSS": the bytes of the option, and why both options apart do not fit.

Decides what is drawn: options and segments as our endpoints sent them in the campaign "options", and those
that they would have had to send without the combined option. Read first: draft-paasch-mptcp-syncookies-02
§3.1.1, §3.1.2 and §4; RFC 8684 §3.1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from testbed.errors import UserError
from testbed.figures.sections import Material, Number, Picture, Section
from testbed.figures.seed.byte_map import byte_map
from testbed.figures.seed.captured import Flow, flows_of, must_have, option, packets_of
from testbed.figures.seed.option_bars import Bar, bars, fits, room_left, sizes
from testbed.figures.seed.panel import beside
from testbed.mptcp.keys import token_and_idsn
from testbed.mptcp.wire import MAX_OPTION_BYTES, Dss, MpCapable, Option, Segment, Timestamps, encoded_length
from testbed.results import Results

CAMPAIGN = "options-sim"
PLAIN, CHECKED, FAST_OPEN = "as they are", "checksums", "Fast Open, cookie 6"
# Bytes: RFC 7323 §3.2; RFC 8684 §3.1; RFC 8684 §3.3, 4-byte numbers, with a checksum and without DATA_ACK.
TIMESTAMPS, KEYS, SHORT, LONG, MAPPING, DATA_ACK = 10, 20, 22, 24, 16, 8
DRAFT_SUM = 36  # draft §4: MP_CAPABLE and that mapping, without timestamps


@dataclass(frozen=True, slots=True)
class Sent:
    """What was captured: the draft's third ACK, its first data without and with checksum, its ACK of data
    that came with Fast Open; v0's first data with checksum."""

    third_ack: Segment
    short: Segment
    long: Segment
    early_ack: Segment
    v0_data: Segment
    v0_key: int

    @property
    def keys(self) -> MpCapable:
        return must_have(self.third_ack, MpCapable)

    @property
    def stamps(self) -> Timestamps:
        return must_have(self.third_ack, Timestamps)

    @property
    def dss(self) -> Dss:
        return must_have(self.v0_data, Dss)

    @property
    def mapping(self) -> Dss:
        """The same, as short as it can be: 4-byte DSN, no DATA_ACK."""
        return replace(self.dss, data_ack=None, dsn_8=False)


def section(material: Material) -> Section:
    results = material.results.get(CAMPAIGN)
    if results is None:
        return Section((), left_out=material.left_out())
    sent = _sent(results)
    rows = _rows(sent)
    alt = "; ".join(f"{row.label}: {sum(sizes(row.options))} bytes, {room_left(row.options)}" for row in rows)
    across = max(MAX_OPTION_BYTES, *(sum(sizes(row.options)) for row in rows))
    return Section(
        _said(sent),
        (
            Picture("MP_CAPABLE with the first data, byte for byte", beside(_maps(sent)), "four byte maps"),
            Picture(
                "What fits into 40 bytes of TCP options",
                bars("options of a segment, bytes", rows, alt, most=across),
                alt,
            ),
        ),
        _numbers(sent),
        left_out=material.left_out(),
    )


def _sent(results: Results) -> Sent:
    plain, checked = (_first(results, "draft", case) for case in (PLAIN, CHECKED))
    old = _first(results, "v0", CHECKED)
    early = next(
        packet.segment
        for flow in _flows(results, "draft", FAST_OPEN)
        for packet in flow.up
        if option(packet.segment, MpCapable) and option(packet.segment, Dss)
    )
    return Sent(
        _there(plain.third_ack),
        _there(plain.first_data),
        _there(checked.first_data),
        early,
        _there(old.first_data),
        must_have(old.syn, MpCapable).sender_key or 0,
    )


def _there(segment: Segment | None) -> Segment:
    if segment is None:
        raise UserError(f"{CAMPAIGN}: a captured handshake lacks its third ACK or its first data")
    return segment


def _flows(results: Results, profile: str, case: str) -> list[Flow]:
    return flows_of(packets_of(results, {"case": case, "client.profile": profile}))


def _first(results: Results, profile: str, case: str) -> Flow:
    return _flows(results, profile, case)[0]


def _maps(sent: Sent) -> list[str]:
    short, long = must_have(sent.short, MpCapable), must_have(sent.long, MpCapable)
    return [
        byte_map(sent.keys, "third ACK", "both keys, no data"),
        byte_map(long, "first data, with checksum", "both keys, and what a mapping must say"),
        byte_map(short, "first data, without checksum", "in the header two NOPs follow"),
        byte_map(sent.dss, "v0's first data: a DSS", "a mapping, and no key"),
    ]


def _rows(sent: Sent) -> list[Bar]:
    stamps, keys, mapping = sent.stamps, sent.keys, sent.mapping
    return [
        Bar("third ACK, as sent", sent.third_ack.options),
        Bar("both keys and the smallest mapping", (stamps, keys, mapping)),
        Bar("… without a checksum", (stamps, keys, replace(mapping, checksum=None))),
        Bar("… smallest mapping, timestamps given up", (keys, mapping)),
        Bar("combined, as sent", sent.short.options),
        Bar("combined with checksum, as sent", sent.long.options),
        Bar("both keys and a DATA_ACK of 4 bytes, as sent", sent.early_ack.options),
    ]


def _bytes(*options: Option) -> int:
    return sum(sizes(options))


def _said(sent: Sent) -> tuple[str, ...]:
    stamps, keys, mapping = sent.stamps, sent.keys, sent.mapping
    short, long = must_have(sent.short, MpCapable), must_have(sent.long, MpCapable)
    apart, combined = _bytes(stamps, keys, mapping), _bytes(stamps, long)
    return (
        f"A server that keeps no state needs both keys and a mapping in one segment. Apart they are an "
        f"MP_CAPABLE of {_bytes(keys)} bytes and a DSS of at least {_bytes(mapping)} with its checksum; with "
        f"{_bytes(stamps)} bytes of timestamps that makes {apart}, {apart - MAX_OPTION_BYTES} more than the "
        f"{MAX_OPTION_BYTES} there are. Without timestamps they take {_bytes(keys, mapping)}, and what is "
        "left is too little for anything that a segment could need.",
        f"The draft puts the length of the data, and the checksum where one was agreed, behind the keys: "
        f"{_bytes(short)} bytes, or {_bytes(long)}. All else that a mapping says is known beforehand: the "
        f"first byte has subflow sequence number 1 and the data sequence number behind the IDSN, which the "
        f"key decides. With timestamps that is {combined}; {MAX_OPTION_BYTES - combined} bytes stay free.",
        f"The bytes are those of segments that our endpoints sent. The last bar is the tightest of them: a "
        f"client that has to acknowledge data before its key is known to have arrived sends both keys and a "
        f"4-byte DATA_ACK, {_bytes(*sent.early_ack.options)} bytes, {encoded_length(sent.early_ack.options)} "
        f"with padding. No SACK block fits beside them.",
    )


def _numbers(sent: Sent) -> tuple[Number, ...]:
    stamps, keys, mapping, dss = sent.stamps, sent.keys, sent.mapping, sent.dss
    short, long = must_have(sent.short, MpCapable), must_have(sent.long, MpCapable)
    idsn = token_and_idsn(sent.v0_key, sha256=False)[1]
    beyond = None if dss.dsn is None else (dss.dsn - idsn) & 0xFFFF_FFFF_FFFF_FFFF
    apart, together = (stamps, keys, mapping), (stamps, long)
    return (
        _number("third ACK: MP_CAPABLE", _bytes(keys), KEYS),
        _number("first data: MP_CAPABLE without checksum", _bytes(short), SHORT),
        _number("first data: MP_CAPABLE with checksum", _bytes(long), LONG),
        _number(
            "timestamps, both keys and the smallest mapping with checksum",
            _bytes(*apart),
            TIMESTAMPS + KEYS + MAPPING,
        ),
        Number("… and in 40 bytes", _fit(apart), "does not fit", not fits(apart)),
        _number("the same without timestamps (draft §4)", _bytes(keys, mapping), DRAFT_SUM),
        _number("timestamps and the combined option with checksum", _bytes(*together), TIMESTAMPS + LONG),
        Number("… and in 40 bytes", _fit(together), "fits", fits(together)),
        _number(
            "timestamps, both keys and a 4-byte DATA_ACK",
            _bytes(*sent.early_ack.options),
            TIMESTAMPS + KEYS + DATA_ACK,
        ),
        Number(
            "first byte of v0's data: DSN behind the IDSN, SSN",
            f"{beyond}, {dss.ssn}",
            "1, 1",
            (beyond, dss.ssn) == (1, 1),
        ),
    )


def _fit(options: tuple[Option, ...]) -> str:
    return "fits" if fits(options) else "does not fit"


def _number(what: str, measured: int, expected: int) -> Number:
    return Number(what, f"{measured} bytes", f"{expected} bytes", measured == expected)
