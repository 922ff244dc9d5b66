"""Both directions of a link and its boxes: who sees what, in which order, and what comes out where."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import cast

from testbed.link import BoxSpec, Link, LinkParams, Way
from testbed.mptcp.wire import ACK, Segment
from tests.link.packets import Frame, down, up

MS = 1_000_000
Passed = list[tuple[Way, Segment]]


@dataclass
class Scripted:
    """A box that does as its function says. `held` come out at `due`."""

    act: Callable[[Scripted, Way, Segment], Passed]
    due: int | None = None
    held: Passed = field(default_factory=list)
    seen: list[tuple[int, Way, bytes]] = field(default_factory=list)

    def pass_on(self, now: int, way: Way, segment: Segment) -> Passed:
        self.seen.append((now, way, segment.payload))
        return self.act(self, way, segment)

    def deadline(self) -> int | None:
        return self.due

    def timeout(self, now: int) -> Passed:
        self.due = None
        return self.held


@dataclass(frozen=True)
class Spec:
    """Stands where a BoxSpec does."""

    box: Scripted
    text: str = "scripted"

    def make(self, way: Way, rng: random.Random) -> Scripted:
        return self.box


def untouched(box: Scripted, way: Way, segment: Segment) -> Passed:
    return [(way, segment)]


def marked(letter: bytes) -> Callable[[Scripted, Way, Segment], Passed]:
    return lambda box, way, segment: [(way, replace(segment, payload=segment.payload + letter))]


def swallowed(box: Scripted, way: Way, segment: Segment) -> Passed:
    return []


def answered(box: Scripted, way: Way, segment: Segment) -> Passed:
    """Passes it on, and answers what goes forward."""
    return [(way, segment), *([("backward", replace(segment, payload=b"!"))] if way == "forward" else [])]


def held(box: Scripted, way: Way, segment: Segment) -> Passed:
    box.due, box.held = 50 * MS, [(way, segment)]
    return []


def link(*forward: Scripted, backward: tuple[Scripted, ...] = (), watched: list[str] | None = None) -> Link:
    def params(boxes: tuple[Scripted, ...], delay: int) -> LinkParams:
        return LinkParams(delay=delay, boxes=cast("tuple[BoxSpec, ...]", tuple(map(Spec, boxes))))

    def watch(now: int, way: Way, packet: object, cause: str | None) -> None:
        assert watched is not None
        assert isinstance(packet, Frame)
        assert packet.value is not None
        watched.append(f"{way} {packet.value.payload.decode()} {cause or 'on its way'}")

    return Link(
        "a-b",
        params(forward, 10 * MS),
        params(backward, 20 * MS),
        1,
        lambda way, segment: Frame(100, segment, number=-1),
        None if watched is None else watch,
    )


def out(deliveries: list[tuple[int, Way, object]]) -> list[tuple[int, Way, bytes]]:
    found = []
    for at, way, packet in deliveries:
        assert isinstance(packet, Frame)
        assert packet.value is not None
        found.append((at // MS, way, packet.value.payload))
    return found


def test_without_boxes_each_direction_is_on_its_own() -> None:
    plain = link()
    packet = up(ACK, 1, b"x")
    assert plain.plain
    assert plain.offer(0, "forward", packet) == [(10 * MS, "forward", packet)]
    assert plain.offer(0, "backward", packet) == [(20 * MS, "backward", packet)]
    assert plain.deadline() is None
    assert set(plain.report()) == {"a-b/forward", "a-b/backward"}


def test_what_a_box_leaves_alone_is_the_very_same_packet() -> None:
    box = Scripted(untouched)
    packet = up(ACK, 1, b"x")
    running = link(box)
    assert running.offer(5, "forward", packet)[0][2] is packet
    assert running.offer(6, "backward", down(ACK, 1, b"y"))
    assert box.seen == [(5, "forward", b"x"), (6, "backward", b"y")]
    boxes = running.report()["a-b/forward"]["middleboxes"]
    assert boxes == [{"middlebox": "scripted", "seen": 2, "acted": 0}]
    assert "middleboxes" not in running.report()["a-b/backward"]


def test_a_packet_meets_the_boxes_in_its_own_direction() -> None:
    running = link(Scripted(marked(b"1")), Scripted(marked(b"2")), backward=(Scripted(marked(b"3")),))
    assert out(running.offer(0, "forward", up(ACK, 1, b"x"))) == [(10, "forward", b"x123")]
    assert out(running.offer(0, "backward", down(ACK, 1, b"x"))) == [(20, "backward", b"x321")]


def test_an_answer_goes_back_through_the_boxes_behind_it_only() -> None:
    running = link(Scripted(marked(b"1")), Scripted(answered), Scripted(marked(b"2")))
    assert out(running.offer(0, "forward", up(ACK, 1, b"x"))) == [
        (10, "forward", b"x12"),
        (20, "backward", b"!1"),
    ]


def test_what_a_box_swallows_is_told_and_counted() -> None:
    watched: list[str] = []
    running = link(Scripted(swallowed), watched=watched)
    assert not running.plain
    assert running.offer(0, "forward", up(ACK, 1, b"x")) == []
    assert watched == ["forward x middlebox: scripted"]
    assert running.report()["a-b/forward"]["middleboxes"][0]["acted"] == 1
    assert running.report()["a-b/forward"]["packets"] == 0


def test_a_changed_packet_is_told_twice_as_it_came_and_as_it_goes() -> None:
    watched: list[str] = []
    link(Scripted(marked(b"1")), watched=watched).offer(0, "forward", up(ACK, 1, b"x"))
    assert watched == ["forward x middlebox: scripted", "forward x1 on its way"]


def test_a_held_segment_comes_out_at_its_deadline_through_the_rest() -> None:
    running = link(Scripted(held), Scripted(marked(b"2")))
    assert running.offer(0, "forward", up(ACK, 1, b"x")) == []
    assert running.deadline() == 50 * MS
    assert running.timeout(49 * MS) == []
    assert out(running.timeout(50 * MS)) == [(60, "forward", b"x2")]
    assert running.deadline() is None


def test_packets_that_are_no_segments_pass_unseen() -> None:
    box = Scripted(swallowed)
    packet = Frame(60)
    assert link(box).offer(0, "forward", packet) == [(10 * MS, "forward", packet)]
    assert not box.seen
