"""Fast Open on a connection: what its SYN carries, and what both sides make of data in a SYN.

Decides where that data belongs. It lies before the data sequence space: the first mapped byte has SSN 1 and
DSN IDSN + 1 although its TCP sequence number is that much larger. So both levels shift: the subflow's offset
0 becomes the last byte of SYN data that was acknowledged (Tcb.iss and Tcb.irs move), and the connection's
bytes keep counting from 1 while its IDSN moves back by as much. Nothing above or below has to know.
Cookies, sizes and pauses are tcp/fastopen.py's; fallback is fallback.py's.
Read first: RFC 7413 §4.2; RFC 8684 Appendix B, with erratum 6609; draft-paasch-mptcp-syncookies-02 §3.1.2.
"""

from __future__ import annotations

from testbed.mptcp import events
from testbed.mptcp.config import FastOpenAnswer, FastOpenSpace, Profile, ServerConfig
from testbed.mptcp.connection import Connection, Mode
from testbed.mptcp.listener import Listener
from testbed.mptcp.reasons import Reason
from testbed.mptcp.subflow import Subflow
from testbed.mptcp.tcp.fastopen import Answer, CookieMint, Door, FastOpenOutcome, Opening, Welcome
from testbed.mptcp.wire import (
    MAX_OPTION_BYTES,
    FastOpen,
    MaximumSegmentSize,
    Option,
    Segment,
    Timestamps,
)
from testbed.mptcp.wire.sequence import MASK32

OPTION_HEADER = 2
TIMEOUTS = 2  # of the first data, before the path counts as one that swallows it; Linux's


def option_of(options: tuple[Option, ...]) -> FastOpen | None:
    return next((option for option in options if isinstance(option, FastOpen)), None)


# -- the client ---------------------------------------------------------------------------------------------


def on_syn(
    conn: Connection, sub: Subflow, now: int, options: tuple[Option, ...]
) -> tuple[tuple[Option, ...], bytes]:
    """Options and data of a SYN, before it is booked as sent.

    A SYN that is sent again carries neither: something on the path may have dropped it for that (RFC 7413
    §4.2.1).
    """
    opening, tcb = conn.fast_open, sub.tcb
    if not isinstance(opening, Opening) or sub.index:
        return options, b""
    address, port = tcb.remote
    if tcb.syn_count:
        if tcb.syn_count == 1 and opening.option is not None:
            opening.lost = True
            opening.cache.lost(now, address)
            if opening.carried:
                conn.context.count("TCPFastOpenActiveFail")
        return options, b""
    mss = tcb.config.mss_from(tcb.local[0])
    attempt = opening.cache.attempt(now, address, port, options, mss, pauses=opening.pauses)
    if attempt.option is None:
        return options, b""
    opening.option = attempt.option
    payload = b""
    if attempt.room and not opening.cookie_only:
        payload = conn.sender.buffer.read(1, min(attempt.room, conn.sender.unmapped))
    opening.carried = tcb.syn_data_sent = len(payload)
    return (*options, attempt.option), payload


def synack_arrived(conn: Connection, sub: Subflow, now: int, segment: Segment, accepted: int) -> None:
    """`accepted`: bytes of our SYN's data that it acknowledges. The rest is ordinary data from here on."""
    opening = conn.fast_open
    if not isinstance(opening, Opening):
        return
    address, port = sub.tcb.remote
    option = option_of(segment.options)
    fresh = option.cookie if option is not None else b""
    mss = next((one.value for one in segment.options if isinstance(one, MaximumSegmentSize)), None)
    opening.cache.learned(address, fresh, mss)
    opening.accepted = accepted
    if accepted:
        opening.cache.worked(now, address, port)
        conn.context.count("TCPFastOpenActive")
        _leave_behind(conn, sub, accepted)
    elif opening.carried and sub.tcb.syn_count == 1:
        opening.cache.refused(now, address, port, fresh)
        conn.context.count("TCPFastOpenActiveFail")
    if opening.cookie_only:
        conn.reset(now, Reason.ABORTED)


def _leave_behind(conn: Connection, sub: Subflow, count: int) -> None:
    """The first bytes of the stream have arrived without a mapping: the data sequence space begins behind
    them (RFC 8684 Appendix B)."""
    conn.sender.skip(count)
    conn.local_idsn -= count
    sub.sent += count
    if conn.mode is Mode.TCP:
        conn.run_in_step(sub, 1, 1)


def timed_out(conn: Connection, sub: Subflow, now: int) -> None:
    """The first data after an accepted SYN does not get through: the path may only let handshakes pass."""
    opening = conn.fast_open
    if not isinstance(opening, Opening) or not opening.accepted or sub.index:
        return
    if sub.tcb.data_attempts == TIMEOUTS and sub.tcb.snd_una == 1:
        opening.cache.blackhole(now)
        conn.context.count("TCPFastOpenBlackhole")


# -- the server ---------------------------------------------------------------------------------------------


def door_of(config: ServerConfig, secret: bytes) -> Door | None:
    """A listening port's Fast Open, where it is on."""
    if not config.fast_open:
        return None
    return Door(CookieMint(secret, config.fast_open_cookie), config.fast_open_pending)


def syn_arrived(conn: Connection, listener: Listener, now: int, segment: Segment) -> None:
    """A new connection in SYN-RECEIVED. With a good cookie the application has it at once, with the data
    of the SYN, and may answer before the third ACK comes (RFC 7413 §4.2.2)."""
    door = listener.door
    if door is None:
        return
    option = option_of(segment.options)
    answer = door.judge(now, segment.src, option)
    if option is None:
        return
    if answer.counter is not None:
        conn.context.count(answer.counter)
    sub, tcb, receiver = conn.first, conn.first.tcb, conn.receiver
    payload = segment.payload[: tcb.config.syn_window] if answer.accept else b""
    outcome = FastOpenOutcome.ACCEPTED if payload else _without_data(option, answer)
    conn.fast_open = Welcome(door.mint, listener.config.fast_open_space, answer.give, outcome, len(payload))
    if not answer.accept:
        return
    tcb.syn_data = len(payload)
    tcb.irs = (tcb.irs + len(payload)) & MASK32
    receiver.skip(payload)
    if conn.remote_idsn is not None:
        conn.remote_idsn -= len(payload)
    sub.received += len(payload)
    if conn.mode is Mode.TCP:
        conn.run_in_step(sub, 1, 1)
    tcb.fast_open = True
    tcb.early = _answers_at_once(conn, listener.config.fast_open_answer)
    tcb.start_congestion_control()
    conn.sender.open_window(1, tcb.snd_wnd)
    conn.told = True
    conn.tell(events.Accepted(conn.number, conn.local, conn.remote))
    if payload:
        conn.tell(events.DataArrived(conn.number))


def _without_data(option: FastOpen, answer: Answer) -> FastOpenOutcome:
    if not option.cookie:
        return FastOpenOutcome.COOKIE
    return FastOpenOutcome.NO_DATA if answer.accept else FastOpenOutcome.REFUSED


def _answers_at_once(conn: Connection, answer: FastOpenAnswer) -> bool:
    """What is sent before the client's key has come is mapped, but carries no DATA_ACK (erratum 6609)."""
    if answer is FastOpenAnswer.AUTO:
        return conn.profile is not Profile.V1
    return answer is FastOpenAnswer.AT_ONCE or conn.profile in (Profile.TCP, Profile.V0)


def on_synack(conn: Connection, sub: Subflow, options: tuple[Option, ...]) -> tuple[Option, ...]:
    """The first subflow's SYN/ACK with the cookie, where one is to be given and this is the first SYN/ACK.

    With MP_CAPABLE and timestamps 9 bytes are left: the cookie is shortened, or the timestamps go, as in
    Linux (RFC 8684 Appendix B leaves the choice).
    """
    conn.assign_due = conn.assign_due or sub.tcb.early  # data may follow at once
    welcome = conn.fast_open
    if not isinstance(welcome, Welcome) or not welcome.give or sub.index or sub.tcb.syn_count:
        return options
    client = sub.tcb.remote[0]
    if welcome.space is FastOpenSpace.NO_TIMESTAMPS and _room(options) < welcome.mint.length:
        options = tuple(option for option in options if not isinstance(option, Timestamps))
        sub.tcb.ts_on = False
    cookie = welcome.mint.make(client, _room(options))
    return options if cookie is None else (*options, FastOpen(cookie))


def _room(options: tuple[Option, ...]) -> int:
    return MAX_OPTION_BYTES - OPTION_HEADER - sum(len(option.encode()) for option in options)
