"""Sightings of one packet on several links -> one packet.

Decides that a sighting belongs to an earlier one when the segments are equal, the places differ, the earlier
one was not dropped, and few seconds lie between them. Each sighting takes constant time on average: for each
set of equal segments and each place, the candidates are passed once.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from operator import attrgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from testbed.trace.packets import Packet

SAME_PACKET = 5_000_000_000  # ns; sightings on different links within this time may be one packet


class Sightings:
    """Takes packets in any order; `joined` gives each once, in the order of time."""

    def __init__(self) -> None:
        self._packets: list[Packet] = []
        self._payloads = array("L")

    def add(self, packet: Packet, payload: int) -> None:
        """`payload`: a checksum of its contents."""
        self._packets.append(packet)
        self._payloads.append(payload)

    def joined(self) -> list[Packet]:
        """Empties the collection."""
        packets, payloads = self._packets, self._payloads
        self._packets, self._payloads = [], array("L")
        if len({packet.interface for packet in packets}) < 2:
            packets.sort(key=attrgetter("time"))
            return packets
        return _join(packets, payloads)


class _Candidates:
    """Equal segments, in the order of their first sightings. `places`: where each was seen so far."""

    def __init__(self) -> None:
        self.packets: list[Packet] = []
        self.places: list[set[str]] = []
        self.next: dict[str, int] = {}  # by place: the first one that it may belong to
        self.expired = 0  # those before are too old for every place

    def find(self, packet: Packet) -> Packet | None:
        while (
            self.expired < len(self.packets)
            and packet.time - self.packets[self.expired].arrived > SAME_PACKET
        ):
            self.expired += 1
        place = packet.interface
        at = max(self.next.get(place, 0), self.expired)
        while at < len(self.packets):
            first = self.packets[at]
            recent = packet.time - first.arrived <= SAME_PACKET
            at += 1
            if recent and first.dropped is None and place not in self.places[at - 1]:
                self.next[place] = at
                self.places[at - 1].add(place)
                return first
        self.next[place] = at
        return None

    def add(self, packet: Packet) -> None:
        self.packets.append(packet)
        self.places.append({packet.interface})


def _join(packets: list[Packet], payloads: Sequence[int]) -> list[Packet]:
    order = sorted(range(len(packets)), key=lambda index: packets[index].time)
    joined: list[Packet] = []
    seen: dict[int, _Candidates | Packet] = {}
    for index in order:
        packet = packets[index]
        identity = hash(_identity(packet, payloads[index]))
        earlier = seen.get(identity)
        if earlier is None:
            seen[identity] = packet  # most are seen at few places, once each
            joined.append(packet)
            continue
        if not isinstance(earlier, _Candidates):
            alone, earlier = earlier, _Candidates()
            earlier.add(alone)
            seen[identity] = earlier
        first = earlier.find(packet)
        if first is None:
            earlier.add(packet)
            joined.append(packet)
        else:
            first.seen_again(packet.time, packet.dropped)
    return joined


def _identity(packet: Packet, payload: int) -> tuple[object, ...]:
    ends = (packet.source, packet.target)
    head = (packet.seq, packet.ack, packet.flags, packet.window, packet.raw_options)
    return (*ends, *head, packet.length, payload)
