"""What SYN and SYN/ACK say, and what is agreed from them.

Decides MSS, window scale, timestamps and SACK of a subflow. MP_CAPABLE in the same packets belongs to
capable.py. Read first: RFC 9293 §3.7.1, RFC 7323 §2-3, RFC 2018 §2.
"""

from __future__ import annotations

from dataclasses import dataclass

from testbed.mptcp.tcp.tcb import Tcb
from testbed.mptcp.wire import (
    MaximumSegmentSize,
    Option,
    SackPermitted,
    Segment,
    Timestamps,
    WindowScale,
)

MAX_WINDOW_SHIFT = 14  # RFC 7323 §2.3


@dataclass(frozen=True, slots=True)
class SynOptions:
    """The plain TCP options of a SYN or SYN/ACK; None where absent."""

    mss: int | None = None
    window_shift: int | None = None
    timestamp: int | None = None
    sack: bool = False


def read_syn_options(segment: Segment) -> SynOptions:
    mss = shift = timestamp = None
    sack = False
    for option in segment.options:
        if isinstance(option, MaximumSegmentSize):
            mss = option.value
        elif isinstance(option, WindowScale):
            shift = min(option.shift, MAX_WINDOW_SHIFT)
        elif isinstance(option, Timestamps):
            timestamp = option.value
        elif isinstance(option, SackPermitted):
            sack = True
    return SynOptions(mss, shift, timestamp, sack)


def agree(tcb: Tcb, peer: SynOptions, now: int) -> None:
    """Take over what the peer's SYN or SYN/ACK offers, as far as we offer it too."""
    tcb.set_mss(peer.mss)
    if peer.window_shift is not None and tcb.config.window_scale is not None:
        tcb.wscale_on = True
        tcb.snd_wscale = peer.window_shift
        tcb.rcv_wscale = tcb.config.window_scale
    else:
        tcb.wscale_on = False
        tcb.snd_wscale = tcb.rcv_wscale = 0
    tcb.sack_on = tcb.config.sack and peer.sack
    tcb.ts_on = tcb.config.timestamps and peer.timestamp is not None
    if tcb.ts_on and peer.timestamp is not None:
        tcb.ts_recent = peer.timestamp
        tcb.paws_at = now


def syn_options(tcb: Tcb, now: int) -> tuple[Option, ...]:
    """For our SYN: all that the configuration offers."""
    options: list[Option] = [MaximumSegmentSize(tcb.config.mss_from(tcb.local[0]))]
    if tcb.config.sack:
        options.append(SackPermitted())
    if tcb.config.window_scale is not None:
        options.append(WindowScale(tcb.config.window_scale))
    if tcb.config.timestamps:
        options.append(Timestamps(tcb.timestamp(now), 0))
    return tuple(options)


def synack_options(tcb: Tcb, now: int) -> tuple[Option, ...]:
    """For our SYN/ACK: only what the SYN offered (RFC 7323 §2.2, §3.2)."""
    options: list[Option] = [MaximumSegmentSize(tcb.config.mss_from(tcb.local[0]))]
    if tcb.sack_on:
        options.append(SackPermitted())
    if tcb.wscale_on:
        options.append(WindowScale(tcb.rcv_wscale))
    if tcb.ts_on:
        options.append(Timestamps(tcb.timestamp(now), tcb.ts_recent))
    return tuple(options)
