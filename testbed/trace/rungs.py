"""What a packet ladder shows, whatever draws it: hosts, subflows, packets in words, turns, and the foot.

Decides the order of the rungs, which of them are left out, and every word; where the words stand is a matter
of ladder.py (text) and ladder_layout.py (pictures). What it says of verdicts and reasons comes from
connections.py, the words for segments from wording.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from testbed.errors import UserError
from testbed.mptcp.reasons import Reason, Verdict
from testbed.mptcp.wire import Segment
from testbed.trace.closing import OPEN, in_order
from testbed.trace.connections import Connection, connections
from testbed.trace.flows import Flow, Step
from testbed.trace.judge import Judgement
from testbed.trace.packets import Address, Capture, Packet, from_segments
from testbed.trace.wording import Zeros, flag_letters, flag_names, number_words, option_words

_ESTABLISHED = {True: "", False: ", refused", None: ", no answer captured"}
_CAUSE = 60  # characters kept of what a capture says of a drop

Source = (
    Capture | Connection | Sequence[Connection] | Sequence[Packet] | Sequence[tuple[int, Segment, str | None]]
)


@dataclass(frozen=True, slots=True)
class Rung:
    """One packet. Times in ns since the connection's first packet; `arrived` is None where the capture does
    not tell it. `subflow` counts from 1. `flags` are tcpdump's letters, `flag_names` the RFC's words.
    `mptcp`: each option in words; `tcp`: those of TCP together.
    `dropped`: that it was, and its cause."""

    time: int
    arrived: int | None
    up: bool  # client to server
    subflow: int
    flags: str
    flag_names: str
    numbers: str
    mptcp: tuple[str, ...]
    tcp: str
    dropped: str | None

    @property
    def option_words(self) -> tuple[str, ...]:
        return (*self.mptcp, self.tcp) if self.tcp else self.mptcp


@dataclass(frozen=True, slots=True)
class Skipped:
    """Packets left out of a long connection's middle."""

    packets: int

    @property
    def words(self) -> str:
        return f"… {self.packets} packets left out …"


@dataclass(frozen=True, slots=True)
class Fate:
    """How one end ended; `verdict` is None when it never had a connection."""

    end: str  # client or server
    verdict: Verdict | None
    reason: Reason

    @property
    def words(self) -> str:
        return "no connection" if self.verdict is None else f"{self.verdict.value}, {self.reason.value}"


@dataclass(frozen=True, slots=True)
class Turn:
    """The moment, in ns, at which an end's fate was sealed: it fell back, or was reset."""

    time: int
    end: str
    verdict: Verdict
    words: str


@dataclass(frozen=True, slots=True)
class Host:
    """`known`: key, token and IDSN in words, empty when the capture does not hold its key."""

    name: str
    address: str
    known: str


@dataclass(frozen=True, slots=True)
class Ladder:
    """`subflows`: in words, when there are several. `closing`: bytes each way, and how it was closed."""

    title: str
    hosts: tuple[Host, Host]
    subflows: tuple[str, ...]
    steps: tuple[Rung | Skipped | Turn, ...]
    verdict: Verdict
    reason: Reason
    fates: tuple[Fate, Fate]
    closing: str

    @property
    def reason_words(self) -> str:
        """The reason, its meaning, and the section of the RFC."""
        where = f" ({self.reason.section})" if self.reason.section else ""
        return f"{self.reason.value}: {self.reason.meaning}{where}"


def ladders(
    source: Source, draft_version: int, most: int | None = None, connection: int | None = None
) -> list[Ladder]:
    """Of every connection, or of the one with that number (from 1; UserError when there is none).

    `most`: packets shown of one connection; its middle is left out when it has more.
    """
    found = _connections(source, draft_version)
    if connection is not None and not 1 <= connection <= len(found):
        where = f"{source.path}: " if isinstance(source, Capture) else ""
        there = f"expected 1 to {len(found)}" if found else "there is none"
        raise UserError(f"{where}connection {connection}: {there}")
    return [
        _ladder(each, number, most)
        for number, each in enumerate(found, 1)
        if connection is None or number == connection
    ]


def _connections(source: Source, draft_version: int) -> Sequence[Connection]:
    if isinstance(source, Connection):
        return [source]
    if isinstance(source, Capture):
        return connections(source.packets, draft_version)
    items = list(source)
    ready = [item for item in items if isinstance(item, Connection)]
    if ready:
        return ready
    packets = [item for item in items if isinstance(item, Packet)]
    timed = [item for item in items if isinstance(item, tuple)]
    return connections(packets or from_segments(timed), draft_version)


def _ladder(connection: Connection, number: int, most: int | None) -> Ladder:
    client, server = connection.ends
    fates = (_fate("client", client), _fate("server", server))
    up, down = connection.bytes
    closed = "no end captured" if connection.closed_by == OPEN else f"closed by {connection.closed_by}"
    count = len(connection.subflows)
    return Ladder(
        title=f"connection {number}: {connection.profile}, {count} subflow{'s' if count != 1 else ''}",
        hosts=(
            Host("client", _text(connection.initiator), _known(connection, 0)),
            Host("server", _text(connection.listener), _known(connection, 1)),
        ),
        subflows=_subflows(connection) if count > 1 else (),
        steps=tuple(_steps(connection, fates, most)),
        verdict=connection.verdict,
        reason=connection.reason,
        fates=fates,
        closing=f"{up} from the client, {down} from the server{_unseen(connection)}; {closed}",
    )


def _unseen(connection: Connection) -> str:
    if not any(connection.unseen):
        return ""
    up, down = connection.unseen
    return f" ({up} and {down} more were acknowledged, but not captured)"


def _fate(end: str, judgement: Judgement | None) -> Fate:
    if judgement is None:
        return Fate(end, None, Reason.NONE)
    return Fate(end, judgement.verdict, judgement.reason)


def _known(connection: Connection, side: int) -> str:
    key, token, idsn = connection.keys[side], connection.tokens[side], connection.idsns[side]
    if key is None:
        return ""
    return f"key {key:016x}" + ("" if token is None else f"  token {token:08x}  IDSN {idsn:016x}")


def _subflows(connection: Connection) -> tuple[str, ...]:
    return tuple(
        f"{_text(subflow.initiator)} - {_text(subflow.listener)}, {subflow.kind}"
        f"{', backup' if subflow.backup else ''}{_ESTABLISHED[subflow.established]}"
        for subflow in connection.subflows
    )


def _steps(connection: Connection, fates: tuple[Fate, Fate], most: int | None) -> list[Rung | Skipped | Turn]:
    """A turn stands behind the packet that brought it, even where that packet is left out."""
    turns: dict[int, list[Turn]] = {}
    for judgement, fate in zip(connection.ends, fates, strict=True):
        if judgement is not None and judgement.cause is not None:
            since = judgement.cause.time if judgement.since is None else judgement.since
            why = judgement.verdict.value if judgement.reason is Reason.NONE else fate.words
            turn = Turn(since - connection.start, fate.end, judgement.verdict, f"{fate.end}: {why}")
            turns.setdefault(id(judgement.cause), []).append(turn)
    count = sum(len(flow.packets) for flow in connection.flows)
    steps: list[Rung | Skipped | Turn] = []
    skipped = range(most // 2, count - most // 2) if most and count > most else range(0)
    numbers = {id(flow): number for number, flow in enumerate(connection.flows, 1)}
    for index, (flow, step) in enumerate(in_order(connection.flows)):
        if skipped and index == skipped.start:
            steps.append(Skipped(len(skipped)))
        if index not in skipped:
            steps.append(_rung(step, flow, numbers[id(flow)], connection))
        turned = turns.get(id(step.packet), [])
        steps += turned if step.up else turned[::-1]  # its sender's first
    return steps


def _rung(step: Step, flow: Flow, number: int, connection: Connection) -> Rung:
    packet = step.packet
    own, peer = connection.idsns if step.up else connection.idsns[::-1]
    mptcp, tcp = option_words(packet, Zeros(flow, own, peer))
    told = packet.arrived > packet.time and packet.dropped is None
    return Rung(
        time=packet.time - connection.start,
        arrived=packet.arrived - connection.start if told else None,
        up=step.up,
        subflow=number,
        flags=flag_letters(packet.flags),
        flag_names=flag_names(packet.flags),
        numbers=number_words(step),
        mptcp=mptcp,
        tcp=tcp,
        dropped=None if packet.dropped is None else f"dropped: {_printable(packet.dropped)}",
    )


def _printable(text: str) -> str:
    """A comment of a capture is anybody's text: short, and without what steers a terminal or breaks XML."""
    shown = "".join(character if character.isprintable() else "�" for character in text[: _CAUSE + 1])
    return shown if len(shown) <= _CAUSE else shown[: _CAUSE - 1] + "…"


def _text(address: Address) -> str:
    host = str(ip_address(address[0]))
    return f"[{host}]:{address[1]}" if ":" in host else f"{host}:{address[1]}"
