"""A flow as a subflow of its connection: how it began, what it carried, how it ended.

Decides whether it is established, refused, or the capture does not show which; whether it ended by FINs or a
reset, and what MP_TCPRST said; and the state of Fast Open in its SYN. An answer that is not in the capture is
no refusal.
Read first: RFC 8684 §3.2, §3.6; RFC 7413 §4.
"""

from __future__ import annotations

from dataclasses import dataclass

from testbed.mptcp.reasons import RESET_REASONS, Reason
from testbed.mptcp.wire import ACK, RST, SYN, FastOpen, MpJoinAck, MpJoinSynAck, MpTcpRst
from testbed.mptcp.wire.mptcp_options import MP_JOIN, MP_TCPRST
from testbed.trace.closing import FINS, OPEN, RESET, Finish, LastWords
from testbed.trace.flows import HANDSHAKE, SYN_ACK, Flow
from testbed.trace.handshake import join_syn
from testbed.trace.packets import Address


@dataclass(frozen=True, slots=True)
class FastOpenSeen:
    """Of the initiator's SYN. `cookie`: none, requested or sent; None when the SYN or its options were not
    captured. `sent`: bytes of data in it; `accepted`: as many as the SYN/ACK took, None without a SYN/ACK."""

    cookie: str | None
    sent: int
    accepted: int | None


@dataclass(frozen=True, slots=True)
class Subflow:
    """`kind`: initial or join. `address_id` and `backup` are those that the joining SYN named. `established`:
    None when the capture does not show it. `ended`: fin, rst or open. `reset_code`: of MP_TCPRST.

    Pairs are (initiator's, listener's): `bytes` is the payload that each sent on it, copies included,
    `copies` the segments that carried bytes once more.
    """

    flow: Flow
    kind: str
    address_id: int
    backup: bool
    established: bool | None
    ended: str
    reset_code: int | None
    bytes: tuple[int, int]
    copies: tuple[int, int]
    fast_open: FastOpenSeen

    @property
    def initiator(self) -> Address:
        return self.flow.initiator

    @property
    def listener(self) -> Address:
        return self.flow.listener

    @property
    def reset_reason(self) -> Reason | None:
        """What MP_TCPRST said; None without one, or with a code that RFC 8684 does not name."""
        code = self.reset_code
        return None if code is None or code >= len(RESET_REASONS) else RESET_REASONS[code]


def subflow_of(flow: Flow, *, initial: bool) -> Subflow:
    join = next((found for packet in flow.packets if (found := join_syn(packet))), None)
    ended, code = _end(flow)
    up, down = flow.carried
    return Subflow(
        flow,
        "initial" if initial and join is None else "join",
        0 if join is None else join.address_id,
        join is not None and join.backup,
        _established(flow, join is not None, ended == RESET),
        ended,
        code,
        (up.bytes, down.bytes),
        (up.copies, down.copies),
        _fast_open(flow),
    )


def _established(flow: Flow, joins: bool, reset: bool) -> bool | None:
    """`joins`: its SYN asked to join."""
    answered = acknowledged = signals = False
    for packet in flow.packets:
        kind = packet.flags & HANDSHAKE
        if kind == SYN_ACK and packet.dropped is None:
            if joins and packet.complete and packet.mptcp_option(MpJoinSynAck, MP_JOIN) is None:
                return False  # the listener answers without MP_JOIN: no subflow (RFC 8684 §3.2)
            answered = True
        elif kind == ACK:
            if packet.length or packet.dss is not None:
                signals = True
                break
            if not joins or packet.mptcp_option(MpJoinAck, MP_JOIN) is not None or not packet.complete:
                acknowledged = True
    if signals:
        return True
    if reset:
        return False
    return True if acknowledged and (answered or not flow.seen_open) else None


def _end(flow: Flow) -> tuple[str, int | None]:
    """How it ended, and the code of MP_TCPRST."""
    finish = Finish()
    words: LastWords | None = None
    for step in flow.steps():
        packet = step.packet
        if packet.flags & RST:
            words = words or LastWords(flow)
            if words.ends_flow(packet):
                said = packet.mptcp_option(MpTcpRst, MP_TCPRST)
                return RESET, None if said is None else said.reason
        else:
            finish.observe(flow, step)
    return (FINS if finish.stream(flow) else OPEN), None


def _fast_open(flow: Flow) -> FastOpenSeen:
    syns = [packet for packet in flow.from_end(0, SYN) if packet.complete]
    if not syns:
        return FastOpenSeen(None, max((each.length for each in flow.from_end(0, SYN)), default=0), None)
    option = syns[0].option(FastOpen)
    cookie = "none" if option is None else "sent" if option.cookie else "requested"
    sent = max(packet.length for packet in syns)
    answered = bool(flow.from_end(1, SYN_ACK))
    return FastOpenSeen(cookie, sent, flow.fast_open[0] if answered else None)
