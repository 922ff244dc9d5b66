"""Two endpoints on one virtual clock, joined by a network that does exactly what a test asks.

    pair = Pair(client=ClientConfig(profile=Profile.V0), up=("third_ack",))
    pair.connect()                                   # the client's connection number
    pair.client.send(b"hello")
    pair.run(until=lambda: pair.server.received() == b"hello")
    pair.client.close()
    pair.server.close()
    pair.run()                                       # until nothing more is going to happen
    assert pair.client.closed().verdict is Verdict.FALLBACK

`up` and `down` are LinkParams, or just exact drop rules; `links` has those of a (source, destination)
that are not the rest's. `lose(way, n, segment)` takes packets by any other rule ("up" or "down", n-th packet
of that way from 1); `rewrite(way, n, segment)` is a middlebox. With `cut` the network cuts large frames into
the packets that they stand for, each with a fate of its own. Every segment goes through its bytes. When a
test fails, conftest prints the packet ladder of each Pair that it made.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from testbed.link import Direction, LinkParams, stream
from testbed.mptcp.config import ClientConfig, ServerConfig
from testbed.mptcp.endpoint import Endpoint
from testbed.mptcp.events import (
    Accepted,
    Closed,
    Connected,
    DataArrived,
    Event,
    FellBack,
    PeerFinished,
    SpaceFreed,
)
from testbed.mptcp.reasons import Reason
from testbed.mptcp.report import ConnectionReport
from testbed.mptcp.wire import ACK, SYN, Segment, decode, encode
from testbed.mptcp.wire.offload import parts

MILLISECOND = 1_000_000
SECOND = 1_000_000_000
PORT = 20080
CLIENT_PORT = 40_000
MOST_SEGMENTS = 20_000  # of one run: more is an endless exchange

made: list[Pair] = []  # by the test that is running; conftest empties it


@dataclass(frozen=True)
class Crossing:
    """One packet on the wire."""

    time: int
    way: str
    segment: Segment
    fate: str  # "" when delivered


@dataclass
class Frame:
    value: Segment
    raw: bytes
    frame_length: int

    def segment(self) -> Segment:
        return self.value


@dataclass
class Side:
    """One endpoint and its application: reads what comes, sends what it is told as room appears."""

    name: str
    endpoint: Endpoint
    addresses: tuple[bytes, ...]
    clock: Pair
    events: list[tuple[int, Event]] = field(default_factory=list)
    connections: list[int] = field(default_factory=list)
    reading: bool = True
    on_event: Callable[[Side, Event], None] | None = None
    inbox: dict[int, bytearray] = field(default_factory=dict)
    outbox: dict[int, bytearray] = field(default_factory=dict)
    closing: set[int] = field(default_factory=set)
    armed: int | None = None

    def first(self, connection: int | None) -> int:
        return self.connections[0] if connection is None else connection

    def send(self, data: bytes, connection: int | None = None) -> None:
        """Sends all of it, as fast as the endpoint accepts it."""
        number = self.first(connection)
        self.outbox.setdefault(number, bytearray()).extend(data)
        self.push(number)
        self.clock.settle(self)

    def close(self, connection: int | None = None) -> None:
        """Closes once everything given to `send` has been accepted."""
        number = self.first(connection)
        self.closing.add(number)
        self.push(number)
        self.clock.settle(self)

    def abort(self, connection: int | None = None, reason: Reason = Reason.ABORTED) -> None:
        self.endpoint.abort(self.clock.now, self.first(connection), reason)
        self.clock.settle(self)

    def read(self, connection: int | None = None, most: int = 1 << 30) -> bytes:
        """For tests that set `reading` to False: takes at most that many bytes."""
        number = self.first(connection)
        data = self.endpoint.receive(self.clock.now, number, most)
        self.inbox.setdefault(number, bytearray()).extend(data)
        self.clock.settle(self)
        return data

    def received(self, connection: int | None = None) -> bytes:
        if connection is None and not self.connections:
            return b""
        return bytes(self.inbox.get(self.first(connection), b""))

    def report(self, connection: int | None = None) -> ConnectionReport:
        return self.endpoint.describe(self.first(connection))

    def closed(self, connection: int | None = None) -> Closed | None:
        """The connection's last event, if it has come."""
        return self.last(Closed, connection)

    def fell_back(self, connection: int | None = None) -> FellBack | None:
        return self.last(FellBack, connection)

    def finished(self, connection: int | None = None) -> bool:
        """The peer has said that it sends no more."""
        return self.last(PeerFinished, connection) is not None

    def connected(self, connection: int | None = None) -> bool:
        return self.last(Connected, connection) is not None or self.last(Accepted, connection) is not None

    def last(self, kind: Any, connection: int | None = None) -> Any:
        if connection is None and not self.connections:
            return None
        number = self.first(connection)
        found = [event for _, event in self.events if isinstance(event, kind) and event.connection == number]
        return found[-1] if found else None

    def push(self, number: int) -> None:
        waiting = self.outbox.get(number)
        while waiting:
            taken = self.endpoint.send(self.clock.now, number, bytes(waiting))
            if not taken:
                return
            del waiting[:taken]
        if number in self.closing:
            self.closing.discard(number)
            self.endpoint.close(self.clock.now, number)

    def take_events(self) -> None:
        while (event := self.endpoint.poll_event()) is not None:
            self.events.append((self.clock.now, event))
            if isinstance(event, Accepted):
                self.connections.append(event.connection)
            elif isinstance(event, DataArrived) and self.reading:
                data = self.endpoint.receive(self.clock.now, event.connection)
                self.inbox.setdefault(event.connection, bytearray()).extend(data)
            elif isinstance(event, SpaceFreed):
                self.push(event.connection)
            if self.on_event is not None:
                self.on_event(self, event)


class Pair:
    """`delay` is one way, for both ways, unless `up` or `down` are LinkParams of their own."""

    def __init__(
        self,
        *,
        client: ClientConfig | None = None,
        server: ServerConfig | None = None,
        up: LinkParams | tuple[str, ...] = (),
        down: LinkParams | tuple[str, ...] = (),
        delay: int = 10 * MILLISECOND,
        lose: Callable[[str, int, Segment], bool] | None = None,
        rewrite: Callable[[str, int, Segment], Segment] | None = None,
        seed: int = 1,
        through_bytes: bool = True,
        cut: bool = False,
        client_addresses: tuple[bytes, ...] = (bytes((10, 0, 1, 1)),),
        server_addresses: tuple[bytes, ...] = (bytes((10, 0, 2, 1)),),
        start: int = 1_000 * SECOND,
        links: dict[tuple[bytes, bytes], LinkParams] | None = None,
    ) -> None:
        self.now = start
        self.links = links or {}
        self.start = start
        self.seed = seed
        self.config = client or ClientConfig()
        self.server_config = server or ServerConfig()
        self.lose = lose
        self.rewrite = rewrite
        self.through_bytes = through_bytes
        self.cut = cut
        self.params = {
            "up": up if isinstance(up, LinkParams) else LinkParams(delay=delay, drops=tuple(up)),
            "down": down if isinstance(down, LinkParams) else LinkParams(delay=delay, drops=tuple(down)),
        }
        self.directions: dict[tuple[bytes, bytes], Direction] = {}
        self.crossings: list[Crossing] = []
        self.notes: list[tuple[int, str]] = []
        self.counted = {"up": 0, "down": 0}
        self.flying: list[tuple[int, int, Side, Frame]] = []
        self.order = 0
        self.ports = CLIENT_PORT
        self.client = self._side("client", client_addresses)
        self.server = self._side("server", server_addresses)
        self.server.endpoint.listen(PORT, self.server_config)
        made.append(self)

    def _side(self, name: str, addresses: tuple[bytes, ...]) -> Side:
        def note(record: object) -> None:
            self.notes.append((self.now, f"{name}: {record}"))

        endpoint = Endpoint(entropy=stream(self.seed, name).randbytes, trace=note, addresses=addresses)
        return Side(name, endpoint, addresses, self)

    def connect(
        self,
        config: ClientConfig | None = None,
        port: int = PORT,
        first: bytes = b"",
        only_cookie: bool = False,
    ) -> int:
        """Sends the SYN; `run` does the rest. Each call takes the next client port.

        `first` is written before the SYN leaves, as Fast Open needs it. `only_cookie`: as Endpoint.connect.
        """
        local = (self.client.addresses[0], self.ports)
        self.ports += 1
        remote = (self.server.addresses[0], port)
        number = self.client.endpoint.connect(
            self.now, local, remote, config or self.config, only_cookie=only_cookie
        )
        self.client.connections.append(number)
        if first:
            self.client.outbox[number] = bytearray(first)
            self.client.push(number)
        self.settle(self.client)
        return number

    def establish(self, limit: int = 60 * SECOND) -> int:
        """`connect`, and run until both ends say so."""
        number = self.connect()
        before = len(self.server.connections)
        self.run(
            until=lambda: self.client.connected(number) and len(self.server.connections) > before, limit=limit
        )
        return number

    def run(self, until: Callable[[], bool] | int | None = None, limit: int = 900 * SECOND) -> None:
        """To the time `until` (ns), or until it is true, or (None) until nothing more will happen.

        `limit` is how much virtual time may pass; past it an `until` that never came true is an error.
        """
        deadline = self.now + limit if not isinstance(until, int) else until
        before = len(self.crossings)
        self.settle(self.client)
        self.settle(self.server)
        while not (callable(until) and until()):
            moment = self._next()
            if moment is None or moment > deadline:
                if callable(until):
                    why = (
                        "nothing more will happen" if moment is None else f"{limit / SECOND:g} s have passed"
                    )
                    raise AssertionError(f"what the test waits for never came: {why}\n{self.ladder()}")
                if isinstance(until, int):
                    self.now = max(self.now, deadline)
                return
            self._step(moment)
            if len(self.crossings) - before > MOST_SEGMENTS:
                raise AssertionError(f"more than {MOST_SEGMENTS} segments: an endless exchange")

    def deliver(self, side: Side, segment: Segment) -> None:
        """Hands `segment` to `side` now, as if it had come from the wire: a late duplicate, a forgery."""
        self.crossings.append(
            Crossing(self.now, "up" if side is self.server else "down", segment, "injected")
        )
        side.endpoint.handle_segment(self.now, self._through(segment).value)
        self.settle(side)

    def _next(self) -> int | None:
        moments = [side.armed for side in (self.client, self.server) if side.armed is not None]
        if self.flying:
            moments.append(self.flying[0][0])
        return max(self.now, min(moments)) if moments else None

    def _step(self, moment: int) -> None:
        self.now = moment
        if self.flying and self.flying[0][0] <= moment:
            _, _, side, frame = heapq.heappop(self.flying)
            side.endpoint.handle_segment(moment, frame.value)
            self.settle(side)
            return
        for side in (self.client, self.server):
            if side.armed is not None and side.armed <= moment:
                before = side.armed
                side.endpoint.handle_timeout(moment)
                self.settle(side)
                again = side.armed is not None and side.armed <= before
                assert not again, f"{side.name}: the timer at {before} stays due after handle_timeout"

    def settle(self, side: Side) -> None:
        """The order of calls that every driver keeps: events, then segments, then the timer."""
        side.take_events()
        before = len(self.crossings)
        while (segment := side.endpoint.poll_transmit(self.now)) is not None:
            for part in parts(segment) if self.cut else (segment,):
                self._transmit(part)
            assert len(self.crossings) - before < MOST_SEGMENTS, f"{side.name} never has enough of sending"
        side.take_events()
        side.armed = side.endpoint.poll_timeout()

    def _transmit(self, segment: Segment) -> None:
        frame = self._through(segment)
        segment = frame.value
        way = "up" if segment.src in self.client.addresses else "down"
        target = self.server if way == "up" else self.client
        self.counted[way] += 1
        if self.lose is not None and self.lose(way, self.counted[way], segment):
            self.crossings.append(Crossing(self.now, way, segment, "dropped: lose()"))
            return
        assert segment.dst in target.addresses, f"nobody has the address {segment.dst.hex()}"
        key = (segment.src, segment.dst)
        if key not in self.directions:
            name = f"{way}{len(self.directions)}"
            params = self.links.get(key, self.params[way])
            self.directions[key] = Direction(name, params, stream(self.seed, "link", name))
        direction = self.directions[key]
        fate = ""
        if self.rewrite is not None:
            changed = self.rewrite(way, self.counted[way], segment)
            if changed != segment:
                frame, segment, fate = self._through(changed), changed, "rewritten"
        deliveries = direction.offer(self.now, frame)
        if not deliveries:
            fate = f"dropped: {direction.cause}"
        elif len(deliveries) > 1:
            fate = "duplicated"
        self.crossings.append(Crossing(self.now, way, segment, fate))
        for at, packet in deliveries:
            self.order += 1
            assert isinstance(packet, Frame)
            heapq.heappush(self.flying, (at, self.order, target, packet))

    def _through(self, segment: Segment) -> Frame:
        if not self.through_bytes:
            return Frame(segment, b"", segment.length + 14)
        raw = encode(segment)
        decoded = decode(raw)
        assert isinstance(decoded, Segment), f"the endpoint sent what nobody can read: {decoded}"
        return Frame(decoded, raw, len(raw) + 14)

    def segments(self, way: str, *, delivered: bool = False) -> list[Segment]:
        """What the "up" or "down" side has sent so far."""
        return [
            crossing.segment
            for crossing in self.crossings
            if crossing.way == way and not (delivered and crossing.fate.startswith("dropped"))
        ]

    def unmatched(self) -> list[str]:
        """Exact drop rules that took nothing: the test does not test what it says."""
        return [rule for direction in self.directions.values() for rule in direction.unmatched()]

    def ladder(self, notes: bool = True) -> str:
        """Packets and trace notes in the order of time, sequence numbers relative to each side's first."""
        bases: dict[tuple[bytes, int, bytes, int], int] = {}
        lines: list[tuple[int, int, str]] = []
        for order, crossing in enumerate(self.crossings):
            lines.append((crossing.time, order * 2, self._line(crossing, bases)))
        if notes:
            for order, (time, text) in enumerate(self.notes):
                lines.append((time, order, f"{(time - self.start) / SECOND:12.6f}  # {text}"))
        lines.sort(key=lambda line: line[0])
        head = f"seed {self.seed}; {len(self.crossings)} packets"
        return "\n".join([head, *(text for _, _, text in lines)])

    def _line(self, crossing: Crossing, bases: dict[tuple[bytes, int, bytes, int], int]) -> str:
        segment = crossing.segment
        key = (segment.src, segment.sport, segment.dst, segment.dport)
        if key not in bases or segment.flags & SYN:
            bases[key] = segment.seq
        back = (segment.dst, segment.dport, segment.src, segment.sport)
        seq = (segment.seq - bases[key]) & 0xFFFFFFFF
        acked = (segment.ack - bases.get(back, 0)) & 0xFFFFFFFF
        ack = f" ack {acked}" if segment.flags & ACK else ""
        port = segment.sport if crossing.way == "up" else segment.dport
        arrow = "client -> server" if crossing.way == "up" else "client <- server"
        options = ", ".join(short(option) for option in segment.options)
        return (
            f"{(crossing.time - self.start) / SECOND:12.6f}  {port} {arrow}  {segment.flag_text():<3} "
            f"seq {seq}{f':{seq + len(segment.payload)}' if segment.payload else ''}{ack} "
            f"win {segment.window}  {options}" + (f"   [{crossing.fate}]" if crossing.fate else "")
        )


def short(option: object) -> str:
    """An option on a ladder's line, numbers over 16 bits in hex, what is None left out."""
    fields = []
    for name in getattr(option, "__dataclass_fields__", {}):
        value = getattr(option, name)
        if value is None or value is False:
            continue
        shown = (
            f"{value:x}"
            if isinstance(value, int) and not isinstance(value, bool) and value > 0xFFFF
            else value
        )
        fields.append(f"{name}={shown}")
    return f"{type(option).__name__}({' '.join(fields)})" if fields else type(option).__name__
