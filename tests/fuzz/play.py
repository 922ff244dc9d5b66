"""One case: both applications over the network, and what must hold of it.

Decides what is a failure (Failure's kind) and how a connection ended (Outcome.end).
Read first: case.py, faults.py (what must hold in which kind), network.py.
"""

from __future__ import annotations

import random
import traceback
from dataclasses import dataclass, field

from testbed.mptcp.config import Profile, SynCookies
from testbed.mptcp.events import (
    Accepted,
    Closed,
    Connected,
    DataArrived,
    Event,
    PeerFinished,
    SpaceFreed,
    SubflowOpened,
)
from testbed.mptcp.keys import token_and_idsn
from testbed.mptcp.paths import Flag, LocalEndpoint
from testbed.mptcp.reasons import Reason, Verdict
from testbed.mptcp.wire import SYN, Dss, MaximumSegmentSize, Segment
from testbed.mptcp.wire.sequence import dsn_diff, promote
from tests.fuzz.case import MILLISECOND, SECOND, Application, Case, Change
from tests.fuzz.faults import FAULTS, Kind
from tests.fuzz.network import Hit, Livelock, Network
from tests.pair import PORT, Side, made
from tests.properties.memory import deep_size

BLOCK = random.Random("fuzz").randbytes(1 << 17)
PATIENCE = 1_500 * SECOND  # of both applications: longer than any timer that gives up
REST = 6_000 * SECOND  # after that: TIME-WAIT and all that is left must end
WITHOUT_PROGRESS = 4_000  # packets that endpoints send while no application sees anything new
EMPTY = 60_000  # bytes that an endpoint without connections may take
MEASURED = 16  # of so many cases, in one the memory is measured


@dataclass(frozen=True)
class Failure:
    """`kind`: exception, livelock, bytes, incomplete, error, hang, leftover, events or wire."""

    kind: str
    text: str


@dataclass
class Outcome:
    """`end`: clean, fallback (clean, after a fallback), error, hang, abort (an application asked for it) or
    cookie (an error after a server without state refused a packet, which a loss is enough for).
    `stall`: ns of virtual time, the longest without progress while both applications read."""

    case: Case
    end: str = ""
    failure: Failure | None = None
    hits: list[Hit] = field(default_factory=list)
    packets: int = 0
    stall: int = 0
    reason: str = ""
    ladder: str = ""

    @property
    def acted(self) -> frozenset[str]:
        return frozenset(name for name, _, _ in self.hits)

    @property
    def kind(self) -> Kind:
        """The worst kind of fault that acted."""
        kinds = {FAULTS[name].kind for name in self.acted}
        return next((one for one in (Kind.CONTENT, Kind.OPTIONS) if one in kinds), Kind.NETWORK)


def play(case: Case, only: frozenset[Hit] | None = None, ladder: bool = False) -> Outcome:
    """Run the case. A failure is in the outcome; `ladder`: the packets as text, always when it failed."""
    made.clear()
    outcome = Outcome(case)
    running = Game(case, only)
    try:
        running.run(outcome)
    except Failed as error:
        outcome.failure = Failure(error.kind, str(error))
    except Livelock as error:
        outcome.failure = Failure("livelock", str(error))
    except Exception as error:  # every exception that a packet brings about is a finding
        outcome.failure = Failure("exception", f"{error!r}\n{traceback.format_exc(limit=-4)}")
    outcome.hits, outcome.packets = running.network.hits, running.network.sent
    if ladder or outcome.failure is not None:
        outcome.ladder = running.network.ladder()
    made.clear()
    return outcome


class Failed(Exception):
    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class Game:
    def __init__(self, case: Case, only: frozenset[Hit] | None) -> None:
        self.case = case
        self.network = Network(case, only, self._watch)
        near, far = case.applications
        at = case.seed % 1_000
        self.streams = {"client": BLOCK[at : at + near.size], "server": BLOCK[at + 1 : at + 1 + far.size]}
        self.users = {
            "client": User(self, self.network.client, near),
            "server": User(self, self.network.server, far),
        }
        self.progress_at = self.network.now
        self.progress_sent = 0
        self.stall = 0
        self.wire = Wire(self)

    def run(self, outcome: Outcome) -> None:
        network, case = self.network, self.case
        if case.client.fast_open:
            self._fetch_cookie()
        for number in range(case.crowd):
            network.server.endpoint.handle_segment(network.now, _stranger(case, number))
        network.settle(network.server)
        network.begin()
        self.wire.armed = True
        self.progress_at = network.now
        for side in (network.client, network.server):
            side.on_event = self.users[side.name].event
            side.reading = False
        user = self.users["client"]
        number = network.client.endpoint.connect(
            network.now,
            (network.client.addresses[0], network.ports),
            (network.server.addresses[0], PORT),
            case.client,
        )
        network.client.connections.append(number)
        user.start(number)
        network.settle(network.client)
        for change in case.changes:
            network.plan(network.began + change.at * MILLISECOND, lambda change=change: self._change(change))
        self._until(network.began + PATIENCE)
        outcome.stall = self.stall
        hung = [side.name for side in self._sides() if self._open(side)]
        for side in self._sides():
            for one in self._open(side):
                side.abort(one, Reason.NO_PROGRESS)
        self._until(network.now + REST, idle=True)
        outcome.end, outcome.reason = self._end(hung)
        outcome.hits = network.hits
        self._check(outcome, hung)

    def _sides(self) -> tuple[Side, Side]:
        return self.network.client, self.network.server

    def _open(self, side: Side) -> list[int]:
        return [one for one in dict.fromkeys(side.connections) if side.closed(one) is None]

    def _fetch_cookie(self) -> None:
        network = self.network
        number = network.connect(only_cookie=True)
        network.run(until=lambda: network.client.closed(number) is not None)
        network.run(network.now + SECOND)
        network.client.endpoint.forget(number)
        for side in self._sides():
            for one in side.connections:  # where the server answered as to an ordinary SYN
                side.endpoint.forget(one)
            side.connections.clear()
            side.events.clear()
        network.crossings.clear()

    # -- time ---------------------------------------------------------------------------------------------

    def _until(self, deadline: int, idle: bool = False) -> None:
        """Until nothing more happens, or `deadline`. `idle`: no application waits for progress."""
        network = self.network
        self.progress_sent = network.sent
        while network.advance(deadline):
            if network.sent - self.progress_sent > WITHOUT_PROGRESS:
                raise Livelock(f"{WITHOUT_PROGRESS} packets and nothing new for an application")
            if not idle and self.users["client"].done and self.users["server"].done:
                return

    def progress(self) -> None:
        network = self.network
        self.progress_sent = network.sent
        if not any(user.pausing_since(self.progress_at) for user in self.users.values()):
            self.stall = max(self.stall, network.now - self.progress_at)
        self.progress_at = network.now

    # -- addresses ----------------------------------------------------------------------------------------

    def _change(self, change: Change) -> None:
        side = self.network.client if change.side == "client" else self.network.server
        if not side.connections or side.closed() is not None:
            return
        number, endpoint, now = side.connections[0], side.endpoint, self.network.now
        address = side.addresses[change.path]
        if change.what == "add":
            self.network.gone.discard(address)
            flags = Flag.SUBFLOW | Flag.PAIR if change.side == "client" else Flag.SIGNAL
            endpoint.add_endpoint(now, number, LocalEndpoint(address, flags=flags))
            return
        there = [one for one in endpoint.describe(number).paths if one.local[0] == address]
        others = self._working() - {(one.local, one.remote) for one in there}
        others -= {(one.remote, one.local) for one in there}
        if change.what in ("backup", "regular"):
            for one in there[:1]:
                endpoint.set_backup(now, number, one.index, change.what == "backup")
        elif not others:
            return  # the last path that works stays
        elif change.what == "close":
            for one in there[:1]:
                endpoint.close_subflow(now, number, one.index)
        else:
            identity = next((one.local_id for one in there), change.path)
            self.network.gone.add(address)
            endpoint.remove_address(now, number, identity if identity is not None else change.path)

    def _working(self) -> set[tuple[tuple[bytes, int], tuple[bytes, int]]]:
        """Subflows that are established at both ends, as the client's (local, remote)."""
        found = []
        for side in self._sides():
            if not side.connections or side.closed() is not None:
                return set()
            paths = side.report().paths
            up = [one for one in paths if one.state.lower().replace("-", "_") == "established"]
            if side is self.network.client:
                found.append({(one.local, one.remote) for one in up})
            else:
                found.append({(one.remote, one.local) for one in up})
        both = found[0] & found[1]
        return both | {(b, a) for a, b in both}

    # -- verdicts -----------------------------------------------------------------------------------------

    def _end(self, hung: list[str]) -> tuple[str, str]:
        """The worse of both ends; ghosts of a server without state do not count."""
        client = self.network.client.closed()
        assert client is not None, "an aborted connection ends"
        ends = [client]
        mains = [one for one in self._server_ends() if one is not None]
        if mains:
            ends.append(next((one for one in mains if one.clean), mains[0]))
        bad = next((one for one in ends if not one.clean), None)
        if any(one.abort is not None for one in self.case.applications) and bad is not None:
            return "abort", bad.reason.value
        if bad is not None and self._cookie_refused():
            return "cookie", bad.reason.value
        if hung:
            others = [one.reason.value for one in ends if one.reason is not Reason.NO_PROGRESS]
            return "hang", f"{' and '.join(hung)}: {others[0] if others else 'both wait'}"
        if bad is not None:
            return "error", bad.reason.value
        if any(one.verdict is Verdict.FALLBACK for one in ends):
            return "fallback", client.reason.value
        return "clean", ""

    def _cookie_refused(self) -> bool:
        """The server keeps no state, and the first packet behind its SYN/ACK that arrived was not the first
        that the client sent: its number proves no cookie, so that RFC 9293 §3.10.7.2 asks for a reset."""
        return any(Reason.COOKIE_INVALID.value in text for _, text in self.network.notes)

    def _server_ends(self) -> list[Closed | None]:
        server = self.network.server
        return [server.closed(one) for one in dict.fromkeys(server.connections)]

    def _check(self, outcome: Outcome, hung: list[str]) -> None:
        self._check_events()
        kind = outcome.kind
        if kind is not Kind.CONTENT:
            self._check_bytes()
        if kind is Kind.NETWORK and outcome.end in ("error", "hang"):  # not "cookie": see _end
            raise Failed(outcome.end, f"only the network's faults acted: {outcome.reason}")
        self._check_nothing_left()

    def _check_bytes(self) -> None:
        client, server = self._sides()
        sent, back = self.streams["client"], self.streams["server"]
        number = client.connections[0]
        got = client.received(number)
        if not back.startswith(got):
            raise Failed("bytes", f"the client read bytes that were not sent: {_first_difference(got, back)}")
        for one in dict.fromkeys(server.connections):
            taken = server.received(one)
            if not sent.startswith(taken):
                raise Failed(
                    "bytes", f"the server read bytes that were not sent: {_first_difference(taken, sent)}"
                )
            end = server.closed(one)
            if end is not None and end.clean and taken != sent:
                raise Failed("incomplete", f"the server's clean end after {len(taken)} of {len(sent)} bytes")
        end = client.closed(number)
        if any(one.abort is not None for one in self.case.applications):
            return  # a server without state may accept the client once more and close with nothing said
        if end is not None and end.clean:
            if got != back:
                raise Failed("incomplete", f"the client's clean end after {len(got)} of {len(back)} bytes")
            if not any(server.received(one) == sent for one in server.connections):
                raise Failed(
                    "incomplete", "the client's clean end, but no server connection has all its bytes"
                )

    def _check_events(self) -> None:
        for side in self._sides():
            ended: set[int] = set()
            for _, event in side.events:
                if event.connection in ended:
                    raise Failed("events", f"{side.name}: {event} after Closed")
                if isinstance(event, Closed):
                    ended.add(event.connection)
            for one in side.connections:
                if one not in ended:
                    raise Failed(
                        "events", f"{side.name}: connection {one} never closed, not even when aborted"
                    )

    def _check_nothing_left(self) -> None:
        for side in self._sides():
            endpoint = side.endpoint
            if len(endpoint):
                raise Failed("leftover", f"{side.name} keeps {len(endpoint)} subflows")
            if side.armed is not None:
                raise Failed("leftover", f"{side.name} keeps a timer")
            for one in dict.fromkeys(side.connections):
                self._use_what_has_ended(side, one)
            if endpoint.connections:
                raise Failed("leftover", f"{side.name} keeps connections {endpoint.connections}")
            context = endpoint._context
            if context.tokens or context.outbox or context.events:
                raise Failed("leftover", f"{side.name} keeps tokens, segments or events")
            if any(listener.half_open for listener in endpoint._listeners.values()):
                raise Failed("leftover", f"{side.name} counts connections as half-open")
            if self.case.seed % MEASURED == 0:
                endpoint.counters.clear()
                size = deep_size(endpoint, without=(self.network, side, self))
                if size > EMPTY:
                    raise Failed("leftover", f"{side.name} takes {size} bytes without connections")

    def _use_what_has_ended(self, side: Side, number: int) -> None:
        """Every verb is harmless after Closed, and after `forget`."""
        endpoint, now = side.endpoint, self.network.now
        for forgotten in (False, True):
            if forgotten:
                endpoint.forget(number)
            endpoint.send(now, number, b"late")
            endpoint.receive(now, number)
            endpoint.close(now, number)
            endpoint.abort(now, number)
            endpoint.remove_address(now, number, 0)
            endpoint.set_backup(now, number, 0, True)
            endpoint.close_subflow(now, number, 0)
            if endpoint.poll_transmit(now) is not None:
                raise Failed("events", f"{side.name} sends for a connection that has ended")
            event = endpoint.poll_event()
            if event is not None:
                raise Failed("events", f"{side.name}: {event} after Closed")

    def _watch(self, way: str, segment: Segment) -> None:
        if self.wire.armed:
            self.wire.see(way, segment)


class User:
    """The application of one end: writes, reads and closes as its plan says."""

    def __init__(self, game: Game, side: Side, plan: Application) -> None:
        self.game, self.side, self.plan = game, side, plan
        self.number: int | None = None
        self.left = b""
        self.peer_finished = self.closed = self.asked = False
        self.waiting: set[int] = set()  # connections with something to read
        self.ended: set[int] = set()

    @property
    def done(self) -> bool:
        """Every connection that this end knows of has ended."""
        return bool(self.ended) and len(self.ended) == len(set(self.side.connections))

    def start(self, number: int) -> None:
        self.number = number
        self.left = self.game.streams[self.side.name]
        network = self.game.network
        if self.plan.abort is not None:
            network.plan(network.now + self.plan.abort * MILLISECOND, self._abort)
        self._write()

    def _abort(self) -> None:
        if self.number is not None and self.number not in self.ended:
            self.side.abort(self.number)

    def _write(self) -> None:
        if self.number is None or self.number in self.ended or self.asked:
            return
        network = self.game.network
        while self.left:
            piece = self.left[: self.plan.chunk] if self.plan.chunk else self.left
            taken = self.side.endpoint.send(network.now, self.number, piece)
            self.left = self.left[taken:]
            if taken < len(piece):
                return  # SpaceFreed follows
            if self.plan.chunk and self.left:
                network.plan(network.now + self.plan.gap * MILLISECOND, self._write)
                return
        if self.plan.close == "sent" or self.peer_finished:
            self.asked = True
            self.side.endpoint.close(network.now, self.number)

    def event(self, side: Side, event: Event) -> None:
        if isinstance(event, Accepted | Connected | SubflowOpened):
            self.game.progress()
        if isinstance(event, Accepted) and self.number is None:
            self.start(event.connection)
        elif isinstance(event, Accepted):
            self._ghost(event.connection)
        if isinstance(event, DataArrived):
            self.waiting.add(event.connection)
            self._read_later()
        elif isinstance(event, SpaceFreed) and event.connection == self.number:
            self._write()
        elif isinstance(event, PeerFinished) and event.connection == self.number:
            self.game.progress()
            self.peer_finished = True
            self._write()
        elif isinstance(event, Closed):
            self.game.progress()
            self.ended.add(event.connection)
            self._read(event.connection)

    def _ghost(self, number: int) -> None:
        """A copy of a third ACK, or of a SYN with data, has opened a second connection: close it."""
        network = self.game.network
        network.plan(network.now, lambda: self.side.endpoint.close(network.now, number))
        network.plan(network.now + 60 * SECOND, lambda: self._give_up(number))

    def _give_up(self, number: int) -> None:
        if number not in self.ended:
            self.side.abort(number, Reason.NO_PROGRESS)

    def pausing_since(self, at: int) -> bool:
        began, now = self.game.network.began, self.game.network.now
        return any(
            began + a * MILLISECOND <= now and at <= began + b * MILLISECOND for a, b in self.plan.pauses
        )

    def _paused_until(self) -> int | None:
        elapsed = self.game.network.now - self.game.network.began
        for begin, end in self.plan.pauses:
            if begin * MILLISECOND <= elapsed < end * MILLISECOND:
                return self.game.network.began + end * MILLISECOND
        return None

    def _read_later(self) -> None:
        network = self.game.network
        until = self._paused_until()
        if until is not None:
            network.plan(until, self._read_all)
        elif self.plan.read:
            network.plan(network.now + self.plan.every * MILLISECOND, self._read_all)
        else:
            self._read_all()

    def _read_all(self) -> None:
        until = self._paused_until()
        if until is not None:
            self.game.network.plan(until, self._read_all)
            return
        for number in sorted(self.waiting):
            self._read(number)

    def _read(self, number: int) -> None:
        network = self.game.network
        most = self.plan.read if self.plan.read and number not in self.ended else 1 << 30
        data = self.side.endpoint.receive(network.now, number, most)
        if data:
            self.side.inbox.setdefault(number, bytearray()).extend(data)
            self.game.progress()
        if len(data) == most:
            network.plan(network.now + self.plan.every * MILLISECOND, self._read_all)
        else:
            self.waiting.discard(number)


class Wire:
    """What endpoints say must be true: mapped bytes are the stream's, a DATA_ACK never goes back.

    Not checked where contents were changed, nor once a server without state has a second connection, nor for
    DATA_ACKs of a server with `isn_recovery`: its stateless answers repeat an old one.
    """

    def __init__(self, game: Game) -> None:
        self.game, self.armed = game, False
        self.acked = {"up": 0, "down": 0}
        self.first: dict[tuple[bytes, int, bytes, int], int] = {}
        self.idsns: dict[str, int] = {}

    def see(self, way: str, segment: Segment) -> None:
        flow = (segment.src, segment.sport, segment.dst, segment.dport)
        if segment.flags & SYN:
            self.first[flow] = segment.seq
        near, far = ("client", "server") if way == "up" else ("server", "client")
        network = self.game.network
        if Kind.CONTENT in self.game.case.kinds or len(set(network.server.connections)) > 1:
            return
        for option in segment.options:
            if isinstance(option, Dss):
                if option.data_ack is None or (way == "down" and self._answers_without_state()):
                    pass
                elif (idsn := self._idsn(far)) is not None:
                    self._data_ack(way, option, idsn)
                if option.dsn is not None and option.length and (idsn := self._idsn(near)) is not None:
                    self._mapping(near, segment, option, idsn, self.first.get(flow))

    def _answers_without_state(self) -> bool:
        server = self.game.case.server
        return server.mptcp.isn_recovery and server.syn_cookies is not SynCookies.OFF

    def _idsn(self, name: str) -> int | None:
        if name not in self.idsns:
            side = self.game.network.client if name == "client" else self.game.network.server
            if not side.connections or not isinstance(side.endpoint.connections, tuple):
                return None
            if side.connections[0] not in side.endpoint.connections:
                return None
            report = side.report()
            if report.local_key is None:
                return None
            self.idsns[name] = token_and_idsn(report.local_key, report.profile == Profile.V1.value)[1]
        return self.idsns[name]

    def _data_ack(self, way: str, option: Dss, idsn: int) -> None:
        assert option.data_ack is not None
        near = (idsn + self.acked[way]) % (1 << 64)
        number = option.data_ack if option.data_ack_8 else promote(option.data_ack, near)
        offset = self.acked[way] + dsn_diff(number, near)
        if offset < self.acked[way]:
            raise Failed("wire", f"a DATA_ACK {way} went back from {self.acked[way]} to {offset}")
        self.acked[way] = offset

    def _mapping(self, near: str, segment: Segment, option: Dss, idsn: int, isn: int | None) -> None:
        if isn is None or not segment.payload or (near == "client" and self.game.case.client.fast_open):
            return  # data in a SYN lies before the first number of the data level
        assert option.dsn is not None
        dsn = option.dsn if option.dsn_8 else promote(option.dsn, idsn)
        start = dsn_diff(dsn, idsn) - 1 + (segment.seq - isn - option.ssn) % (1 << 32)
        if segment.payload != self.game.streams[near][start : start + len(segment.payload)]:
            raise Failed("wire", f"the {near} maps other bytes to {start}: {option}")


def _stranger(case: Case, number: int) -> Segment:
    source = (
        bytes((192, 0, 2, 1 + number))
        if len(case.client_addresses[0]) == 4
        else bytes((0xFD, 9, *[0] * 13, 1 + number))
    )
    return Segment(
        source,
        case.server_addresses[0],
        5_000 + number,
        PORT,
        1,
        0,
        SYN,
        65_535,
        (MaximumSegmentSize(1_460),),
    )


def _first_difference(got: bytes, expected: bytes) -> str:
    at = next(
        (i for i, (a, b) in enumerate(zip(got, expected, strict=False)) if a != b),
        min(len(got), len(expected)),
    )
    return f"{len(got)} bytes read, {len(expected)} sent, different from {at} on"


__all__ = ["Failure", "Game", "Outcome", "play"]
