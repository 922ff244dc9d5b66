"""Frames -> packets: TCP segments with the time, the place and the fate of each.

Decides which frames are TCP, that a packet seen on two links of its way is one packet, and that a packet
with the comment `dropped: CAUSE` was sent but never received. Knows segments through `mptcp/wire`, and no
connections. Checksums are not verified: captures of hosts with checksum offload hold unfinished ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from testbed.capture import DROPPED
from testbed.errors import UserError
from testbed.mptcp.wire import Segment, decode
from testbed.trace.capture_file import Frame, frames
from testbed.trace.linklayer import UnknownLinkType, ip_packet, sighting

_SAME_PACKET = 5_000_000_000  # ns; sightings on different links within this time may be one packet


@dataclass(frozen=True, slots=True)
class Packet:
    """One TCP segment on its way. `time` is its first sighting and `arrived` the last, in ns; `dropped`
    is the cause when the wire took it; `whole` tells whether all of the payload was captured (else its
    end is zeros)."""

    time: int
    segment: Segment
    dropped: str | None = None
    arrived: int = -1
    frame: int = 0
    interface: str = ""
    whole: bool = True

    def __post_init__(self) -> None:
        if self.arrived < 0:
            object.__setattr__(self, "arrived", self.time)


@dataclass(frozen=True, slots=True)
class Capture:
    """`left_out` counts the frames that hold no TCP segment, by why."""

    path: Path
    packets: list[Packet]
    frames: int
    left_out: Counter[str] = field(default_factory=Counter)


def read_capture(path: Path | str, *more: Path | str) -> Capture:
    """The TCP packets of one capture, or of several taken at the same time on different links.

    UserError, naming file, offset and what was expected, when a file is no whole capture.
    """
    packets: list[Packet] = []
    left_out: Counter[str] = Counter()
    count = 0
    paths = [Path(each) for each in (path, *more)]
    for each in paths:
        for frame in frames(each):
            count += 1
            found = _packet(each, frame)
            if isinstance(found, str):
                left_out[found] += 1
            elif len(paths) == 1:
                packets.append(found)
            else:
                packets.append(replace(found, interface=f"{each.name}/{found.interface}"))
    return Capture(paths[0], join_sightings(packets), count, left_out)


def _packet(path: Path, frame: Frame) -> Packet | str:
    """A str says why the frame is no packet of TCP."""
    missing = frame.length - len(frame.data)
    # Not captured to its end: zeros take the payload's place, so that its length is right.
    data = frame.data + bytes(missing) if 0 < missing < 1 << 20 else frame.data
    try:
        packet = ip_packet(frame.link_type, data)
    except UnknownLinkType as error:
        raise UserError(f"{path}: offset {frame.offset}: {error}") from error
    if packet is None:
        return "no IP packet"
    if packet[:1] == b"\x45" and packet[2:4] == b"\0\0":
        # What a host hands to its network card to cut up may say 0 for its length.
        packet = packet[:2] + min(len(packet), 0xFFFF).to_bytes(2, "big") + packet[4:]
    segment = decode(packet, verify=False)
    if not isinstance(segment, Segment):
        return segment.why
    if missing > 0 and len(packet) - missing < segment.header_length:
        return "headers not captured"
    cause = next((text[len(DROPPED) :] for text in frame.comments if text.startswith(DROPPED)), None)
    place = frame.interface + sighting(frame.link_type, frame.data)
    return Packet(frame.time, segment, cause, frame.time, frame.number, place, missing <= 0)


def join_sightings(packets: Sequence[Packet]) -> list[Packet]:
    """In the order of time, each packet once: a router's other side, or the next link, shows it again.

    A sighting belongs to an earlier one when the segments are equal, the places differ, the earlier one
    was not dropped, and few seconds lie between them.
    """
    ordered = sorted(packets, key=lambda packet: packet.time)
    if len({packet.interface for packet in ordered}) < 2:
        return ordered
    joined: list[Packet] = []
    seen: dict[tuple[object, ...], list[tuple[int, set[str]]]] = {}
    for packet in ordered:
        earlier = seen.setdefault(_identity(packet.segment), [])
        for index, places in earlier:
            first = joined[index]
            recent = packet.time - first.arrived <= _SAME_PACKET
            if first.dropped is None and packet.interface not in places and recent:
                joined[index] = replace(first, dropped=packet.dropped, arrived=packet.time)
                places.add(packet.interface)
                break
        else:
            earlier.append((len(joined), {packet.interface}))
            joined.append(packet)
    return joined


def _identity(segment: Segment) -> tuple[object, ...]:
    ends = (segment.src, segment.sport, segment.dst, segment.dport)
    head = (segment.seq, segment.ack, segment.flags, segment.window, segment.options)
    return (*ends, *head, segment.payload)


def from_segments(timed: Iterable[tuple[int, Segment, str | None]]) -> list[Packet]:
    """Packets of a simulated wire: time in ns, segment, and the cause if it was dropped."""
    return [
        Packet(time, segment, dropped.removeprefix(DROPPED) if dropped else None, time, number)
        for number, (time, segment, dropped) in enumerate(timed, 1)
    ]
