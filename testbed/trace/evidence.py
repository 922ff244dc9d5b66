"""What a capture shows of the two ends of a connection: that they speak MPTCP, or that they speak plain TCP.

Decides what counts as shown. Only packets that were captured count, and options that were captured whole; a
packet whose options were cut shows nothing either way.
Read first: RFC 8684 §3.1, §3.3, §3.7.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from testbed.mptcp.wire import ACK, RST, SYN
from testbed.mptcp.wire.mptcp_options import ADD_ADDR, MP_JOIN, MP_PRIO, REMOVE_ADDR
from testbed.mptcp.wire.sequence import MASK32
from testbed.trace.flows import HANDSHAKE, Flow, Step
from testbed.trace.packets import HAS_CAPABLE, HAS_DSS, Packet

_SIGNS = 1 << ADD_ADDR | 1 << REMOVE_ADDR | 1 << MP_PRIO


def speaks(flows: Sequence[Flow], idsns: tuple[int | None, int | None]) -> tuple[bool, bool]:
    """Per end, whether the capture shows that it has spoken MPTCP behind its SYN.

    Shown by its own options, or by a DATA_ACK of the other end that acknowledges data of this one.
    """
    shown = [False, False]
    first_data_ack: list[int | None] = [None, None]
    for flow in flows:
        for packet, up in zip(flow.packets, flow.ups, strict=True):
            if not packet.mptcp or packet.flags & SYN:
                continue
            side = 0 if up else 1
            if _shows_own(packet, bool(up)):
                shown[side] = True
            option = packet.dss
            if option is not None and option.data_ack is not None and not shown[1 - side]:
                number = option.data_ack & MASK32
                known = idsns[1 - side]
                base = first_data_ack[side] if known is None else (known + 1) & MASK32
                if base is None:
                    first_data_ack[side] = number
                elif number != base:
                    shown[1 - side] = True
            if all(shown):
                return True, True
    return shown[0], shown[1]


def _shows_own(packet: Packet, up: bool) -> bool:
    option = packet.dss
    if option is not None and (option.data_ack is not None or option.length):
        return True
    if packet.mptcp & _SIGNS:
        return True
    return bool(up and packet.mptcp & HAS_CAPABLE)


def joined(flow: Flow) -> bool:
    """Whether an answer in the handshake of a further subflow, or data on it, shows MPTCP at both ends."""
    return any(packet.mptcp & (HAS_DSS | 1 << MP_JOIN) and not _opens(packet) for packet in flow.packets)


def _opens(packet: Packet) -> bool:
    return packet.flags & HANDSHAKE == SYN


def plain_acks(flow: Flow, side: int) -> Iterator[Step]:
    """Packets of this end that acknowledge data, or carry data, without any option of MPTCP."""
    fast_open = flow.fast_open[1 - side]
    return (
        step
        for step in flow.steps()
        if step.up != side
        and step.packet.complete
        and not step.packet.mptcp
        and step.packet.flags & (SYN | RST | ACK) == ACK
        and (step.acked > 1 + fast_open or step.packet.length)
    )
