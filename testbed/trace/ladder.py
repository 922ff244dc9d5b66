"""A connection as a packet ladder in text: time downwards, one rail per host, every option in words.

Decides where the words stand; the words themselves are those of rungs.py. A packet that the wire dropped
ends in a cross with the cause. The moment at which an end fell back or was reset has a line of its own, and
the reason's explanation stands below.
"""

from __future__ import annotations

import textwrap

from testbed.trace.connections import DRAFT_VERSION
from testbed.trace.rungs import Ladder, Rung, Skipped, Source, Turn, ladders

WIDTH = 100
_TIME = 11  # columns, with the blank behind
_MILLISECOND = 1_000_000


def ladder(
    source: Source,
    *,
    width: int = WIDTH,
    draft_version: int = DRAFT_VERSION,
    most: int | None = None,
    connection: int | None = None,
) -> str:
    """One ladder per connection, one below the other; or of the one with that number (from 1).

    `source`: a capture, connections, packets, or (time in ns, segment, cause of the drop or None) of a
    simulated wire. `most`: packets shown of one connection; its middle is left out when it has more.
    UserError when there is no connection of that number.
    """
    return "\n\n".join(_text(each, width) for each in ladders(source, draft_version, most, connection))


def _text(drawn: Ladder, width: int) -> str:
    lines = _head(drawn, width)
    for step in drawn.steps:
        if isinstance(step, Rung):
            lines += _rung(step, width, tagged=bool(drawn.subflows))
        elif isinstance(step, Skipped):
            lines.append(_between_rails(step.words.center(width - _TIME - 2)))
        else:
            lines.append(_turn(step, width))
    return "\n".join(line.rstrip() for line in [*lines, *_foot(drawn, width)])


def _head(drawn: Ladder, width: int) -> list[str]:
    lines = [drawn.title]
    lines += [f"  {host.name} {host.known}" for host in drawn.hosts if host.known]
    lines += [f"  subflow {number}: {words}" for number, words in enumerate(drawn.subflows, 1)]
    left, right = (f"{host.name} {host.address}" for host in drawn.hosts)
    gap = max(1, width - _TIME - len(left) - len(right))
    lines.append("time ms".rjust(_TIME - 1) + " " + left + " " * gap + right)
    return lines


def _rung(rung: Rung, width: int, tagged: bool) -> list[str]:
    """The arrow with the header, and as many options as fit; the others on lines below it."""
    words = list(rung.option_words)
    tag = str(rung.subflow) if tagged else ""
    inner = width - _TIME - 2
    cause = "" if rung.dropped is None else f" {rung.dropped} "
    room = inner - len(cause) - len(tag) - 10
    text = f"{rung.flags} {rung.numbers}"
    while words and len(text) + 2 + len(words[0]) <= room:
        text += "  " + words.pop(0)
    time = f"{rung.time / _MILLISECOND:{_TIME - 1}.3f} "
    lines = [time + "│" + _arrow(text, cause, tag, rung.up, inner) + "│"]
    for line in textwrap.wrap("  ".join(words), inner - 8) if words else ():
        lines.append(
            _between_rails(f"      {line}".ljust(inner) if rung.up else f"{line}      ".rjust(inner))
        )
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


def _turn(turn: Turn, width: int) -> str:
    inner = width - _TIME - 2
    client = turn.end == "client"
    return _between_rails(f"◆ {turn.words}".ljust(inner) if client else f"{turn.words} ◆".rjust(inner))


def _between_rails(text: str) -> str:
    return " " * _TIME + "│" + text + "│"


def _foot(drawn: Ladder, width: int) -> list[str]:
    return [
        f"verdict  {drawn.verdict.value}",
        *textwrap.wrap(f"reason   {drawn.reason_words}", width, subsequent_indent=" " * 9),
        *(f"{fate.end}   {fate.words}" for fate in drawn.fates),
        f"bytes    {drawn.closing}",
    ]
