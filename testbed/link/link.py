"""Both directions of one link and the middleboxes on it: packets and their times in, packets and times out.

Decides the order in which a packet meets things: the boxes first, one after the other in its own
direction, then that direction's losses, queue and delay (model.py). The same object serves the simulator and
the wires of a lab, so the same seed and the same packets at the same times give the same packets out. Packets
that are no TCP segments pass the boxes unseen. Must not know how a packet is made of a segment: the driver
hands that in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from testbed.link.boxes import Box, Way
from testbed.link.model import Direction, Packet
from testbed.link.params import LinkParams
from testbed.link.streams import stream
from testbed.mptcp.wire.segment import Segment

WAYS: tuple[Way, Way] = ("forward", "backward")

Delivery = tuple[int, Way, Packet]
Make = Callable[[Way, Segment], Packet]
Watch = Callable[[int, Way, Packet, "str | None"], None]


@dataclass(slots=True)
class _Standing:
    """A box in its place, and how often it did anything."""

    box: Box
    text: str
    way: Way  # the direction in which the user wrote it
    seen: int = 0
    acted: int = 0


class Link:
    """`offer` packets in the order of their arrival and call `timeout` at `deadline`, `now` never going back.

    `make` wraps a segment that a box made or changed. `watch` is told of every packet: time, direction,
    packet, and why it goes no further (None: it does).
    """

    def __init__(
        self,
        name: str,
        forward: LinkParams,
        backward: LinkParams,
        seed: int,
        make: Make,
        watch: Watch | None = None,
    ) -> None:
        self.name = name
        self.directions: dict[Way, Direction] = {
            way: Direction(f"{name}/{way}", params, stream(seed, name, way))
            for way, params in zip(WAYS, (forward, backward), strict=True)
        }
        self._make = make
        self._watch = watch
        self._boxes = [
            _Standing(spec.make(way, stream(seed, name, way, "middlebox", str(number))), spec.text, way)
            for way in WAYS
            for number, spec in enumerate(self.directions[way].params.boxes, 1)
        ]

    def start(self, now: int) -> None:
        """The run begins: schedules count from here. Without this call, from 0."""
        for direction in self.directions.values():
            direction.start(now)

    @property
    def plain(self) -> bool:
        """Whether each direction's own `offer` says it all."""
        return not self._boxes and self._watch is None

    def offer(self, now: int, way: Way, packet: Packet) -> list[Delivery]:
        """When which packet comes out, and at which end."""
        if self._boxes:
            segment = packet.segment()
            if segment is not None:
                first = 0 if way == "forward" else len(self._boxes) - 1
                return self._through(now, way, first, segment, packet)
        return self._enter(now, way, packet)

    def deadline(self) -> int | None:
        """When `timeout` wants to be called."""
        if not self._boxes:
            return None
        due = (standing.box.deadline() for standing in self._boxes)
        return min((at for at in due if at is not None), default=None)

    def timeout(self, now: int) -> list[Delivery]:
        """What boxes let go at `now`; nothing when none is due."""
        deliveries: list[Delivery] = []
        for place, standing in enumerate(self._boxes):
            due = standing.box.deadline()
            if due is not None and due <= now:
                released = standing.box.timeout(now)
                standing.acted += bool(released)
                deliveries += self._onwards(now, place, released, None)
        return deliveries

    def _through(
        self, now: int, way: Way, place: int, segment: Segment, packet: Packet | None
    ) -> list[Delivery]:
        """From the box at `place` on. `packet` is None for a segment that a box made."""
        if not 0 <= place < len(self._boxes):
            return self._enter(now, way, self._make(way, segment) if packet is None else packet)
        standing = self._boxes[place]
        standing.seen += 1
        onwards = standing.box.pass_on(now, way, segment)
        if len(onwards) != 1 or onwards[0][1] is not segment or onwards[0][0] != way:
            standing.acted += 1
        if packet is not None and self._watch and not any(out is segment for _, out in onwards):
            self._watch(now, way, packet, f"middlebox: {standing.text}")
        same = None if packet is None else (way, segment, packet)
        return self._onwards(now, place, onwards, same)

    def _onwards(
        self,
        now: int,
        place: int,
        segments: Iterable[tuple[Way, Segment]],
        same: tuple[Way, Segment, Packet] | None,
    ) -> list[Delivery]:
        """To the next box, or out, each in its direction; the segment of `same` is a packet already."""
        deliveries: list[Delivery] = []
        for way, segment in segments:
            packet = same[2] if same is not None and same[0] == way and same[1] is segment else None
            step = 1 if way == "forward" else -1
            deliveries += self._through(now, way, place + step, segment, packet)
        return deliveries

    def _enter(self, now: int, way: Way, packet: Packet) -> list[Delivery]:
        direction = self.directions[way]
        deliveries = direction.offer(now, packet)
        if self._watch is not None:
            self._watch(now, way, packet, None if deliveries else direction.cause)
        return [(at, way, delivered) for at, delivered in deliveries]

    def report(self) -> dict[str, dict[str, Any]]:
        """By "NAME/forward" and "NAME/backward": what the direction did, and the boxes that stand there."""
        reports = {}
        for way, direction in self.directions.items():
            boxes = [
                {"middlebox": standing.text, "seen": standing.seen, "acted": standing.acted}
                for standing in self._boxes
                if standing.way == way
            ]
            reports[direction.name] = {**direction.report(), **({"middleboxes": boxes} if boxes else {})}
        return reports
