"""How a connection ended: DATA_FINs or FINs acknowledged both ways, a fast close, a reset, or not at all.

Decides `closed_by`, and which flow settled it. A DATA_FIN or FIN has done its work when the other end
acknowledges it, since that end then has everything before it. An end that sends a reset and nothing more has
ended, whether or not the reset arrives; a stateless listener may send one and still take up the connection
later. `open` means that no end was seen.
Read first: RFC 8684 §3.3.3, §3.5; RFC 9293 §3.6.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from testbed.mptcp.wire import ACK, FIN, RST
from testbed.mptcp.wire.mptcp_options import MP_FASTCLOSE
from testbed.mptcp.wire.sequence import MASK32, seq_leq
from testbed.trace.flows import Flow, Step
from testbed.trace.handshake import fastclose
from testbed.trace.packets import Packet

DATA_FIN, FASTCLOSE, FINS, RESET, OPEN = "data_fin", "fastclose", "fin", "rst", "open"


@dataclass(frozen=True, slots=True)
class Closing:
    """`flow`: the one on which it was settled; None while nothing is."""

    by: str = OPEN
    flow: Flow | None = None

    @property
    def finished(self) -> bool:
        """Both ends have everything that the other sent."""
        return self.by in (DATA_FIN, FINS)


class Finish:
    """Which directions are finished, at the level of the connection and on each of its flows."""

    def __init__(self) -> None:
        self._data_ends: dict[bool, int] = {}  # by direction (True: up): number behind the DATA_FIN, 32 bits
        self._data_acked: set[bool] = set()
        self._ends: dict[tuple[int, bool], int] = {}  # by flow and direction: number behind the FIN
        self._acked: set[tuple[int, bool]] = set()

    def observe(self, flow: Flow, step: Step) -> None:
        """Packets in the order of time; resets are not for this."""
        packet, up, start, acked = step
        option = packet.dss
        if option is not None:
            if option.data_fin and option.dsn is not None:
                self._data_ends[up] = (option.dsn + option.length) & MASK32
            if option.data_ack is not None and self._data_ends:
                end = self._data_ends.get(not up)
                if end is not None and seq_leq(end, option.data_ack & MASK32):
                    self._data_acked.add(not up)
        if packet.flags & FIN:
            self._ends[id(flow), up] = start + packet.length + 1
        if packet.flags & ACK and self._ends:
            other = self._ends.get((id(flow), not up))
            if other is not None and acked >= other:
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


class LastWords:
    """The last packet of each end of a flow that is no reset: what comes before it does not end the flow."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self._last: dict[bool, Packet] = {}
        for packet, up in zip(reversed(flow.packets), reversed(flow.ups), strict=True):
            if not packet.flags & RST:
                self._last.setdefault(bool(up), packet)
                if len(self._last) == 2:
                    break

    def silent_after(self, packet: Packet, up: bool) -> bool:
        """Whether this end sent nothing but resets after that packet."""
        final = self._last.get(up)
        return final is None or final.time <= packet.time

    def ends_flow(self, reset: Packet) -> bool:
        """Whether the flow is over with this reset: its sender falls silent, or the end that received it."""
        up = self._flow.upward(reset)
        return self.silent_after(reset, up) or (reset.dropped is None and self.silent_after(reset, not up))


def closing_of(flows: Sequence[Flow], keys: tuple[int | None, int | None], *, mptcp: bool) -> Closing:
    """The first thing that settled it, in the order of time. `mptcp`: DATA_FINs count."""
    finish = Finish()
    living = {id(flow) for flow in flows}
    words: dict[int, LastWords] = {}
    for flow, step in in_order(flows):
        packet = step.packet
        reset = packet.flags & RST
        if reset or packet.mptcp >> MP_FASTCLOSE & 1:
            last = words.get(id(flow)) or words.setdefault(id(flow), LastWords(flow))
            counts = packet.dropped is None or last.silent_after(packet, step.up)
            if counts and fastclose(packet, flow, keys):
                return Closing(FASTCLOSE, flow)
            if reset:
                if last.ends_flow(packet):
                    living.discard(id(flow))
                    if not living:
                        return Closing(RESET, flow)
                continue
        finish.observe(flow, step)
        if mptcp and finish.data:
            return Closing(DATA_FIN, flow)
        if packet.flags & ACK and id(flow) in living and finish.stream(flow):
            living.discard(id(flow))
            if not living:
                return Closing(FINS, flow)
    return Closing()


def in_order(flows: Sequence[Flow]) -> Iterator[tuple[Flow, Step]]:
    """All packets of the flows, by time; those of one time in the order of the flows."""
    if len(flows) == 1:
        return ((flows[0], step) for step in flows[0].steps())
    return _merged(flows)


def _merged(flows: Sequence[Flow]) -> Iterator[tuple[Flow, Step]]:
    times = [packet.time for flow in flows for packet in flow.packets]
    owners, places = array("L"), array("L")
    for index, flow in enumerate(flows):
        owners.extend([index] * len(flow.packets))
        places.extend(range(len(flow.packets)))
    for each in sorted(range(len(times)), key=times.__getitem__):
        flow = flows[owners[each]]
        yield flow, flow.step(places[each])
