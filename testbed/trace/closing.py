"""How a connection ended: DATA_FINs or FINs acknowledged both ways, a fast close, a reset, or not at all.

Decides `closed_by`. A DATA_FIN or FIN has done its work when the other end acknowledges it, since that end
then has everything before it. An end that sends a reset and falls silent has ended, whether or not
the reset arrives; a stateless listener may send one and still take up the connection later.
Read first: RFC 8684 §3.3.3, §3.5; RFC 9293 §3.6.
"""

from __future__ import annotations

from collections.abc import Sequence

from testbed.mptcp.wire import ACK, FIN, RST, Segment
from testbed.mptcp.wire.sequence import MASK32, seq_leq
from testbed.trace.flows import Flow
from testbed.trace.handshake import dss, fastclose

DATA_FIN, FASTCLOSE, FINS, RESET, OPEN = "data_fin", "fastclose", "fin", "rst", "open"


class Finish:
    """Which directions are finished, at the level of the connection and on each of its flows."""

    def __init__(self) -> None:
        self._data_ends: dict[bool, int] = {}  # by direction (True: up): number behind the DATA_FIN, 32 bits
        self._data_acked: set[bool] = set()
        self._ends: dict[tuple[int, bool], int] = {}  # by flow and direction: number behind the FIN
        self._acked: set[tuple[int, bool]] = set()

    def observe(self, flow: Flow, segment: Segment) -> None:
        """Packets in the order of time; resets are not for this."""
        up = flow.upward(segment)
        option = dss(segment)
        if option is not None:
            if option.data_fin and option.dsn is not None:
                self._data_ends[up] = (option.dsn + option.length) & MASK32
            end = self._data_ends.get(not up)
            if option.data_ack is not None and end is not None and seq_leq(end, option.data_ack & MASK32):
                self._data_acked.add(not up)
        if segment.flags & FIN:
            self._ends[id(flow), up] = flow.offset(segment) + len(segment.payload) + 1
        other = self._ends.get((id(flow), not up))
        if segment.flags & ACK and other is not None and flow.acked(segment) >= other:
            self._acked.add((id(flow), not up))

    @property
    def data(self) -> bool:
        """Both DATA_FINs are acknowledged."""
        return len(self._data_acked) == 2

    def stream(self, flow: Flow) -> bool:
        """Both FINs of this flow are acknowledged."""
        return (id(flow), True) in self._acked and (id(flow), False) in self._acked

    def complete(self, flow: Flow) -> bool:
        return self.data or self.stream(flow)


def closed_by(flows: Sequence[Flow], keys: tuple[int | None, int | None], *, mptcp: bool) -> str:
    """The first thing that settled it, in the order of time. `mptcp`: DATA_FINs count."""
    packets = sorted(
        ((packet, flow) for flow in flows for packet in flow.packets), key=lambda pair: pair[0].time
    )
    finish = Finish()
    dead: set[int] = set()
    last_word = {
        (id(flow), flow.upward(packet.segment)): packet
        for packet, flow in packets
        if not packet.segment.flags & RST
    }
    for packet, flow in packets:
        segment = packet.segment
        final = last_word.get((id(flow), flow.upward(segment)))
        counts = packet.dropped is None or final is None or final.time <= packet.time
        if counts and fastclose(segment, flow, keys):
            return FASTCLOSE
        if segment.flags & RST:
            if counts:
                dead.add(id(flow))
        else:
            finish.observe(flow, segment)
        if mptcp and finish.data:
            return DATA_FIN
        if all(id(each) in dead or finish.stream(each) for each in flows):
            return RESET if id(flow) in dead else FINS
    return OPEN
