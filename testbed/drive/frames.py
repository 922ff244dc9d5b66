"""One link of a lab as Ethernet frames see it: frames and their times in, frames and times out.

Decides what happens to a frame between the two TAPs, short of waiting: the link model's verdict
(`testbed.link.Link`, the same that the simulator runs), the Ethernet header of what a middlebox made, and the
frames without which IP does not work at all (ARP, neighbour discovery, other link-local multicast), which get
the delay and nothing else, so that no loss or drop rule meets them and the random streams depend on the order
of real packets only. Knows no clock and no descriptors: wires.py hands both in.
"""

from __future__ import annotations

from typing import Any

from testbed.link import Link, LinkParams, Packet, Way, flip_bit
from testbed.link.link import Watch
from testbed.mptcp.wire import Segment, decode, encode

ETHERNET_HEADER = 14
_IPV4 = b"\x08\x00"
_IPV6 = b"\x86\xdd"
_ICMPV6 = 58


class Frame:
    """An Ethernet frame as the link model sees a packet: its length, and its segment when asked."""

    __slots__ = ("_segment", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._segment: Segment | bool | None = False  # False: not looked at yet

    @property
    def frame_length(self) -> int:
        return len(self.data)

    def segment(self) -> Segment | None:
        if self._segment is False:
            decoded = decode(self.data[ETHERNET_HEADER:], verify=False)
            self._segment = decoded if isinstance(decoded, Segment) else None
        return self._segment  # type: ignore[return-value]

    def corrupted(self, where: float) -> Frame:
        return Frame(self.data[:ETHERNET_HEADER] + flip_bit(self.data[ETHERNET_HEADER:], where))


def is_housekeeping(frame: bytes) -> bool:
    """ARP, neighbour discovery, multicast and whatever else is no unicast IP packet."""
    if frame[0] & 1:
        return True
    kind = frame[12:14]
    if kind == _IPV4:
        return False
    return kind != _IPV6 or (len(frame) > 54 and frame[20] == _ICMPV6 and 133 <= frame[54] <= 137)


class FrameLink:
    """`offer` and `timeout` as those of Link, with frames."""

    def __init__(
        self, name: str, forward: LinkParams, backward: LinkParams, seed: int, watch: Watch | None = None
    ) -> None:
        self.link = Link(name, forward, backward, seed, self._made, watch)
        self.start = self.link.start
        self.deadline = self.link.deadline
        self.packets = 0
        self._watch = watch
        self._housekeeping: dict[Way, int] = {"forward": 0, "backward": 0}
        self._addresses: dict[Way, bytes] = {}  # destination and source of this direction's frames
        self._makes = bool(forward.boxes or backward.boxes)

    def offer(self, now: int, way: Way, data: bytes) -> list[tuple[int, Way, bytes]]:
        """When which frame comes out, and at which end."""
        frame = Frame(data)
        if is_housekeeping(data):
            self._housekeeping[way] += 1
            if self._watch is not None:
                self._watch(now, way, frame, None)
            return [(now + self.link.directions[way].params.delay, way, data)]
        self.packets += 1
        if self._makes and way not in self._addresses:
            self._addresses[way] = data[:12]
        return _frames(self.link.offer(now, way, frame))

    def timeout(self, now: int) -> list[tuple[int, Way, bytes]]:
        return _frames(self.link.timeout(now))

    def report(self) -> dict[str, dict[str, Any]]:
        reports = self.link.report()
        for way, direction in self.link.directions.items():
            reports[direction.name]["housekeeping"] = self._housekeeping[way]
        return reports

    def _made(self, way: Way, segment: Segment) -> Frame:
        """A box makes nothing before something has come, from one end at least."""
        addresses = self._addresses.get(way)
        if addresses is None:
            (seen,) = self._addresses.values()
            addresses = seen[6:] + seen[:6]
        frame = Frame(addresses + (_IPV4 if len(segment.src) == 4 else _IPV6) + encode(segment))
        frame._segment = segment
        return frame


def _frames(deliveries: list[tuple[int, Way, Packet]]) -> list[tuple[int, Way, bytes]]:
    return [(at, way, packet.data) for at, way, packet in deliveries]  # type: ignore[attr-defined]
