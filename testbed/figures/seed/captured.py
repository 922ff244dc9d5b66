"""The packets of a campaign's captured connections, and the handshakes among them.

Decides which segment of a flow is its SYN, SYN/ACK, third ACK and first data. Must not know what a slide asks
of them. Read first: RFC 9293 §3.5; testbed/trace/packets.py, which reads the captures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from testbed.errors import UserError
from testbed.mptcp.wire import ACK, FIN, RST, SYN, MpJoinSyn, Option, Segment
from testbed.results import Results
from testbed.trace import Packet, read_capture

Kind = TypeVar("Kind", bound=Option)
Ends = tuple[bytes, int, bytes, int]  # address and port of the one who began, then of the other


@dataclass(slots=True)
class Flow:
    """One four-tuple, from its SYN on; `up` is what whoever sent the SYN sends."""

    up: list[Packet] = field(default_factory=list)
    down: list[Packet] = field(default_factory=list)

    @property
    def joins(self) -> bool:
        return option(self.syn, MpJoinSyn) is not None

    @property
    def syn(self) -> Segment:
        return self.up[0].segment

    @property
    def synack(self) -> Segment | None:
        return next((one.segment for one in self.down if one.segment.flags & SYN), None)

    @property
    def third_ack(self) -> Segment | None:
        """None where data took its place."""
        later = next((one.segment for one in self.up if not one.segment.flags & SYN), None)
        return None if later is None or later.payload else later

    @property
    def first_data(self) -> Segment | None:
        data = (one.segment for one in self.up if one.segment.payload)
        return next((segment for segment in data if not segment.flags & SYN), None)


def option(segment: Segment | None, kind: type[Kind]) -> Kind | None:
    """The segment's first option of this kind."""
    if segment is None:
        return None
    return next((one for one in segment.options if isinstance(one, kind)), None)


def must_have(segment: Segment | None, kind: type[Kind]) -> Kind:
    """UserError where the segment is not there, or carries no such option."""
    found = option(segment, kind)
    if found is None:
        raise UserError(f"captured packets: no {kind.__name__} where one was expected")
    return found


def bare(segment: Segment) -> bool:
    """An ACK and nothing else."""
    return segment.flags & (SYN | FIN | RST | ACK) == ACK and not segment.payload


def captures_of(results: Results, factors: Mapping[str, str]) -> list[Path]:
    """Those of the first valid run whose factors are these; none where it is missing, or was not captured."""
    for record in results.records:
        if record["invalid"] is None and all(str(record["factors"][key]) == factors[key] for key in factors):
            return [results.directory / "runs" / record["run"] / name for name in record["captures"]]
    return []


def packets_of(results: Results, factors: Mapping[str, str]) -> list[Packet]:
    """All packets of that run, in the order of time. UserError where there is none."""
    files = captures_of(results, factors)
    if not files:
        words = ", ".join(f"{key} {value}" for key, value in factors.items())
        raise UserError(f"{results.directory}: no captured run with {words}")
    return read_capture(*files).packets


def flows_of(packets: Sequence[Packet]) -> list[Flow]:
    """In the order of their SYNs; what belongs to none is left out."""
    flows: dict[Ends, Flow] = {}
    for packet in packets:
        one = packet.segment
        there, back = (one.src, one.sport, one.dst, one.dport), (one.dst, one.dport, one.src, one.sport)
        if one.flags & (SYN | ACK) == SYN:
            flows.setdefault(there, Flow())
        if there in flows:
            flows[there].up.append(packet)
        elif back in flows:
            flows[back].down.append(packet)
    return list(flows.values())
