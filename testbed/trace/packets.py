"""Frames -> packets: what a capture shows of each TCP segment, with its time, its place, and whether the wire
dropped it.

Decides which frames are TCP, and that a packet with the comment `dropped: CAUSE` was sent but never received.
A packet may be known in part: `complete` is False where the snapshot length cut its options, and an option
that is not in `options` is then unknown, not absent. Knows no connections.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from sys import intern
from typing import TypeVar

from testbed.capture import DROPPED
from testbed.mptcp.wire import Dss, MpCapable, Option, Segment, parse_options
from testbed.mptcp.wire.mptcp_options import DSS, KIND, MP_CAPABLE, parse_mptcp
from testbed.mptcp.wire.options import END_OF_LIST, NO_OPERATION
from testbed.trace.capture_file import frames
from testbed.trace.headers import read_header, whole_options
from testbed.trace.linklayer import NOT_IP, UnknownLinkType, ip_offset, sighting
from testbed.trace.sightings import Sightings
from testbed.trace.source import Frame

Address = tuple[bytes, int]
Kind = TypeVar("Kind", bound=Option)

HAS_CAPABLE = 1 << MP_CAPABLE
HAS_DSS = 1 << DSS


@dataclass(slots=True, eq=False)
class Packet:
    """One TCP segment on its way, as far as it was captured.

    `time` is its first sighting and `arrived` the last, in ns; `dropped` is the cause when the wire took it.
    `length`: payload bytes on the wire. `mptcp`: a bit for each MPTCP subtype seen, `1 << subtype`; `dss`
    and `capable` are the first of their kind. `complete`: all options were captured; `whole`: the whole frame
    was. `frame` counts from 1.
    """

    time: int
    source: Address
    target: Address
    seq: int
    ack: int
    flags: int
    window: int
    length: int
    mptcp: int
    dss: Dss | None
    capable: MpCapable | None
    raw_options: bytes | tuple[Option, ...]
    complete: bool
    whole: bool
    arrived: int
    dropped: str | None
    frame: int
    interface: str

    @property
    def options(self) -> tuple[Option, ...]:
        """Those that were captured whole, in their order."""
        raw = self.raw_options
        return parse_options(raw) if isinstance(raw, bytes) else raw

    def option(self, kind: type[Kind]) -> Kind | None:
        """The first one of this kind, or None."""
        return next((each for each in self.options if isinstance(each, kind)), None)

    def mptcp_option(self, kind: type[Kind], subtype: int) -> Kind | None:
        """The same for an option of MPTCP; at once None where the packet has none of the subtype."""
        return self.option(kind) if self.mptcp >> subtype & 1 else None

    @property
    def segment(self) -> Segment:
        """As a value of the codec. The payload's contents are not kept: it is zeros of the right length."""
        (src, sport), (dst, dport) = self.source, self.target
        return Segment(
            src, dst, sport, dport, self.seq, self.ack, self.flags, self.window, self.options,
            bytes(self.length),
        )  # fmt: skip

    def seen_again(self, time: int, dropped: str | None) -> None:
        """At a later place on its way."""
        self.arrived = time
        self.dropped = dropped


@dataclass(frozen=True, slots=True)
class Capture:
    """`left_out` counts the frames that hold no TCP segment, by reason. `warnings`: one line for each file
    that was read in part only. `cut`: packets of which not all options were captured."""

    path: Path
    packets: list[Packet]
    frames: int
    left_out: Counter[str] = field(default_factory=Counter)
    warnings: list[str] = field(default_factory=list)
    files: tuple[str, ...] = ()

    @property
    def cut(self) -> int:
        return sum(not packet.complete for packet in self.packets)


def read_capture(path: Path | str, *more: Path | str) -> Capture:
    """The TCP packets of one capture, or of several taken at the same time on different links.

    UserError, naming file, offset and what was expected, when a file is no capture or is damaged. A file that
    ends too early is read up to there; see `Capture.warnings`.
    """
    paths = [Path(each) for each in (path, *more)]
    left_out: Counter[str] = Counter()
    warnings: list[str] = []
    addresses: dict[Address, Address] = {}  # one object for equal ones
    sightings = Sightings()
    count = 0
    for each in paths:
        for frame in frames(each, warnings.append):
            count += 1
            found = _packet(frame, addresses, f"{each.name}/" if more else "")
            if isinstance(found, str):
                left_out[found] += 1
            else:
                sightings.add(*found)
    return Capture(
        paths[0], sightings.joined(), count, left_out, warnings, tuple(str(each) for each in paths)
    )


def _packet(frame: Frame, addresses: dict[Address, Address], prefix: str) -> tuple[Packet, int] | str:
    """The packet, and a checksum of its payload; a str says why the frame is left out."""
    number, time, data, length, link_type, interface, comments, _ = frame
    if link_type is None:
        return "an interface that the file does not describe"
    try:
        at = ip_offset(link_type, data)
    except UnknownLinkType:
        return f"link type {link_type} of the interface cannot be read"
    if at == NOT_IP:
        return "no IP packet"
    header = read_header(data, at, length)
    if isinstance(header, str):
        return header
    src, dst, sport, dport, seq, ack, flags, window, options, options_size, payload, payload_at = header
    complete = len(options) == options_size
    if not complete:
        options = options[: whole_options(options)]
    mptcp, dss, capable = _mptcp(options)
    cause = None
    for comment in comments:
        if comment.startswith(DROPPED):
            cause = comment[len(DROPPED) :]
            break
    place = intern(prefix + interface + sighting(link_type, data))
    source, target = (src, sport), (dst, dport)
    packet = Packet(
        time, addresses.setdefault(source, source), addresses.setdefault(target, target), seq, ack, flags,
        window, payload, mptcp, dss, capable, options, complete, len(data) >= length, time, cause, number,
        place,
    )  # fmt: skip
    return packet, zlib.crc32(data[payload_at : payload_at + payload]) if payload else 0


def _mptcp(options: bytes) -> tuple[int, Dss | None, MpCapable | None]:
    """A bit for each MPTCP subtype, the first DSS and MP_CAPABLE. Of options whole, or of wrong lengths."""
    if KIND not in options:
        return 0, None, None
    subtypes, at, end = 0, 0, len(options)
    dss: Dss | None = None
    capable: MpCapable | None = None
    while at < end:
        kind = options[at]
        if kind == NO_OPERATION:
            at += 1
            continue
        if kind == END_OF_LIST or at + 1 >= end or options[at + 1] < 2:
            break
        size = options[at + 1]
        if kind == KIND and 3 <= size <= end - at:
            subtype = options[at + 2] >> 4
            subtypes |= 1 << subtype
            if subtype <= DSS:
                found = parse_mptcp(options[at : at + size])
                if isinstance(found, Dss):
                    dss = dss or found
                elif isinstance(found, MpCapable):
                    capable = capable or found
        at += size
    return subtypes, dss, capable


def from_segments(timed: Iterable[tuple[int, Segment, str | None]]) -> list[Packet]:
    """Packets of a simulated wire: time in ns, segment, and the cause if it was dropped."""
    return [
        packet_of(segment, time, dropped.removeprefix(DROPPED) if dropped else None, number)
        for number, (time, segment, dropped) in enumerate(timed, 1)
    ]


def packet_of(segment: Segment, time: int, dropped: str | None = None, frame: int = 0) -> Packet:
    """A segment that was seen whole."""
    subtypes, dss, capable = _mptcp(b"".join(option.encode() for option in segment.options))
    return Packet(
        time, (segment.src, segment.sport), (segment.dst, segment.dport), segment.seq, segment.ack,
        segment.flags, segment.window, len(segment.payload), subtypes, dss, capable, segment.options, True,
        True, time, dropped, frame, "",
    )  # fmt: skip
