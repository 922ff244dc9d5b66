"""A connection as a packet ladder in text: time downwards, one rail per host, every option in words.

Decides the picture; what it says of verdicts and reasons comes from connections.py, the words for
segments from wording.py. A packet that the wire dropped ends in a cross with the cause. The moment at
which an end fell back or was reset has a line of its own, and the reason's explanation stands below.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from ipaddress import ip_address

from testbed.mptcp.reasons import Reason
from testbed.mptcp.wire import Segment
from testbed.trace.closing import OPEN
from testbed.trace.connections import DRAFT_VERSION, Connection, connections
from testbed.trace.flows import Address, Flow
from testbed.trace.judge import Judgement
from testbed.trace.packets import Capture, Packet, from_segments
from testbed.trace.wording import Zeros, header_words, option_words

WIDTH = 100
_TIME = 11  # columns, with the blank behind
_MILLISECOND = 1_000_000

Source = (
    Capture | Connection | Sequence[Connection] | Sequence[Packet] | Sequence[tuple[int, Segment, str | None]]
)


def ladder(
    source: Source, *, width: int = WIDTH, draft_version: int = DRAFT_VERSION, most: int | None = None
) -> str:
    """One ladder per connection, one below the other.

    `source`: a capture, connections, packets, or (time in ns, segment, cause of the drop or None) of a
    simulated wire. `most`: packets shown of one connection; its middle is left out when it has more.
    """
    found = _connections(source, draft_version)
    return "\n\n".join(_ladder(each, index, width, most) for index, each in enumerate(found, 1))


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


def _ladder(connection: Connection, number: int, width: int, most: int | None) -> str:
    marked = [(packet, flow) for flow in connection.flows for packet in flow.packets]
    marked.sort(key=lambda pair: pair[0].time)
    lines = _head(connection, number, width)
    tags = {id(flow): index for index, flow in enumerate(connection.flows, 1)}
    turns = _turns(connection)
    skipped = range(most // 2, len(marked) - most // 2) if most and len(marked) > most else range(0)
    for index, (packet, flow) in enumerate(marked):
        if index == skipped.start and skipped:
            text = f"… {len(skipped)} packets left out …"
            lines.append(" " * _TIME + "│" + text.center(width - _TIME - 2) + "│")
        if index not in skipped:
            tag = str(tags[id(flow)]) if len(tags) > 1 else ""
            lines += _rungs(packet, flow, connection, tag, width)
        turned = turns.get(id(packet), [])
        if not flow.upward(packet.segment):
            turned = turned[::-1]  # its sender's first
        lines += [_turn_line(name, judgement, width) for name, judgement in turned]
    return "\n".join(line.rstrip() for line in [*lines, *_foot(connection, width)])


def _head(connection: Connection, number: int, width: int) -> list[str]:
    lines = [
        f"connection {number}: {connection.profile}, {len(connection.subflows)} "
        f"subflow{'s' if len(connection.subflows) != 1 else ''}"
    ]
    names = ("client", "server")
    for name, key, token, idsn in zip(
        names, connection.keys, connection.tokens, connection.idsns, strict=True
    ):
        if key is not None:
            known = "" if token is None else f"  token {token:08x}  IDSN {idsn:016x}"
            lines.append(f"  {name} key {key:016x}{known}")
    if len(connection.subflows) > 1:
        for index, subflow in enumerate(connection.subflows, 1):
            backup = ", backup" if subflow.backup else ""
            lines.append(
                f"  subflow {index}: {_text(subflow.initiator)} - {_text(subflow.listener)}, "
                f"{subflow.kind}{backup}{'' if subflow.established else ', refused'}"
            )
    left, right = f"client {_text(connection.initiator)}", f"server {_text(connection.listener)}"
    gap = max(1, width - _TIME - len(left) - len(right))
    lines.append("time ms".rjust(_TIME - 1) + " " + left + " " * gap + right)
    return lines


def _rungs(packet: Packet, flow: Flow, connection: Connection, tag: str, width: int) -> list[str]:
    """The arrow with the header, and as many options as fit; the others on lines below it."""
    segment = packet.segment
    up = flow.upward(segment)
    own, peer = connection.idsns if up else connection.idsns[::-1]
    words = [header_words(segment, flow), *option_words(segment, Zeros(flow, own, peer))]
    inner = width - _TIME - 2
    cause = "" if packet.dropped is None else f" dropped: {packet.dropped} "
    room = inner - len(cause) - len(tag) - 10
    text = words.pop(0)
    while words and len(text) + 2 + len(words[0]) <= room:
        text += "  " + words.pop(0)
    time = f"{(packet.time - connection.start) / _MILLISECOND:{_TIME - 1}.3f} "
    lines = [time + "│" + _arrow(text, cause, tag, up, inner) + "│"]
    for line in textwrap.wrap("  ".join(words), inner - 8) if words else ():
        placed = f"      {line}".ljust(inner) if up else f"{line}      ".rjust(inner)
        lines.append(" " * _TIME + "│" + placed + "│")
    return lines


def _arrow(text: str, cause: str, tag: str, up: bool, inner: int) -> str:
    name = f" [{tag}]" if tag else ""
    if up:
        start = f"──{name} {text} "
        if not cause:
            return start.ljust(inner - 1, "─") + "▶"
        return (start + "──✗" + cause).ljust(inner)
    end = f" {text}{name} ──"
    if not cause:
        return "◀" + end.rjust(inner - 1, "─")
    return (cause + "✗──" + end).rjust(inner)


def _turns(connection: Connection) -> dict[int, list[tuple[str, Judgement]]]:
    """By packet: the ends whose fate it sealed."""
    found: dict[int, list[tuple[str, Judgement]]] = {}
    for name, judgement in zip(("client", "server"), connection.ends, strict=True):
        if judgement is not None and judgement.cause is not None:
            found.setdefault(id(judgement.cause), []).append((name, judgement))
    return found


def _turn_line(name: str, judgement: Judgement, width: int) -> str:
    text = f"{name}: {judgement.verdict.value}"
    if judgement.reason is not Reason.NONE:
        text += f", {judgement.reason.value}"
    inner = width - _TIME - 2
    placed = f"◆ {text}".ljust(inner) if name == "client" else f"{text} ◆".rjust(inner)
    return " " * _TIME + "│" + placed + "│"


def _foot(connection: Connection, width: int) -> list[str]:
    up, down = connection.bytes
    closed = "still open" if connection.closed_by == OPEN else f"closed by {connection.closed_by}"
    lines = [
        f"verdict  {connection.verdict.value}",
        *_explained(connection.reason, width),
    ]
    for name, judgement in zip(("client", "server"), connection.ends, strict=True):
        if judgement is None:
            lines.append(f"{name}   no connection")
        else:
            lines.append(f"{name}   {judgement.verdict.value}, {judgement.reason.value}")
    lines.append(f"bytes    {up} from the client, {down} from the server; {closed}")
    return lines


def _explained(reason: Reason, width: int) -> list[str]:
    where = f" ({reason.section})" if reason.section else ""
    return textwrap.wrap(
        f"reason   {reason.value}: {reason.meaning}{where}", width, subsequent_indent=" " * 9
    )


def _text(address: Address) -> str:
    host = str(ip_address(address[0]))
    return f"[{host}]:{address[1]}" if ":" in host else f"{host}:{address[1]}"
