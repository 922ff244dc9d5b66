"""A listening port: what answers a SYN, with state or without.

Decides the profile of a SYN and when to send cookies. What a returning cookie is worth is decided in
cookie_ack.py. Read first: RFC 8684 §3.1, RFC 4987 §3.6, draft-paasch-mptcp-syncookies-02 §2-§3.
"""

from __future__ import annotations

from testbed.mptcp.capable import denies_join_initial, find_capable, flags, wants_checksum
from testbed.mptcp.config import SECOND, Profile, ServerConfig, SynCookies, TcpConfig
from testbed.mptcp.connection import Connection
from testbed.mptcp.context import Context
from testbed.mptcp.fallback import Observation
from testbed.mptcp.keys import token_and_idsn
from testbed.mptcp.observe import observe
from testbed.mptcp.profiles import speech, usable
from testbed.mptcp.reasons import Reason
from testbed.mptcp.tcp.cookies import FourTuple, SynCookieJar, stamp_options, timestamp_at
from testbed.mptcp.tcp.fastopen import Door
from testbed.mptcp.tcp.handshake import agree, read_syn_options
from testbed.mptcp.tcp.state import State
from testbed.mptcp.tcp.tcb import Tcb
from testbed.mptcp.wire import (
    ACK,
    SYN,
    MaximumSegmentSize,
    MpCapable,
    Option,
    SackPermitted,
    Segment,
    Timestamps,
    WindowScale,
)
from testbed.mptcp.wire.mptcp_options import FLAG_EXTENSIBILITY
from testbed.mptcp.wire.sequence import seq_add

COOKIES_RECENT = 120 * SECOND  # in mode auto an ACK counts as a cookie only so long after the last one
KEY_TRIES = 4  # draws of a key whose token is free before MPTCP is left out


class Listener:
    """`half_open` counts connections in SYN-RECEIVED; the endpoint keeps it."""

    def __init__(
        self,
        port: int,
        config: ServerConfig,
        addresses: tuple[bytes, ...],
        jar: SynCookieJar,
        door: Door | None = None,
    ) -> None:
        self.port, self.config, self.addresses, self.jar = port, config, addresses, jar
        self.door = door  # Fast Open, where it is on
        self.half_open = 0
        self.cookies_at: int | None = None  # when the last cookie was sent

    def serves(self, address: bytes) -> bool:
        return not self.addresses or address in self.addresses

    @property
    def is_full(self) -> bool:
        """No place is left for a connection in SYN-RECEIVED."""
        return self.half_open >= self.config.backlog

    def wants_cookie(self) -> bool:
        mode = self.config.syn_cookies
        return mode is SynCookies.ALWAYS or (mode is SynCookies.AUTO and self.is_full)

    def takes(self, option: MpCapable | None) -> bool:
        """Whether a SYN with this MP_CAPABLE is answered at all."""
        return not is_silently_ignored(option, self.config) and (self.wants_cookie() or not self.is_full)

    def tries_cookies(self, now: int) -> bool:
        mode = self.config.syn_cookies
        if mode is SynCookies.AUTO:
            return self.cookies_at is not None and now - self.cookies_at < COOKIES_RECENT
        return mode is SynCookies.ALWAYS


def profile_of_syn(option: MpCapable | None, config: ServerConfig) -> Profile:
    """The profile to answer in. A peer that offers more than we speak gets our highest (RFC 8684 §3.1)."""
    if option is None or not usable(option) or option.receiver_key is not None:
        return Profile.TCP
    if wants_checksum(option) and config.mptcp.refuse_checksum:
        return Profile.TCP
    spoken = [
        one
        for one in (speech(p, config.mptcp) for p in config.profiles if p is not Profile.TCP)
        if one.version <= option.version and one.key_in_syn == (option.sender_key is not None)
    ]
    return max(spoken, key=lambda one: one.version).profile if spoken else Profile.TCP


def is_silently_ignored(option: MpCapable | None, config: ServerConfig) -> bool:
    """RFC 6824 §3.1: a SYN whose extensibility flag asks for something unknown gets no answer at all.
    RFC 8684 §3.1 answers it in plain TCP."""
    return (
        option is not None
        and option.version == 0
        and option.sender_key is not None
        and bool(option.flags & FLAG_EXTENSIBILITY)
        and Profile.V0 in config.profiles
    )


def four_tuple(segment: Segment) -> FourTuple:
    return FourTuple((segment.dst, segment.dport), (segment.src, segment.sport))


def open_half(listener: Listener, context: Context, number: int, now: int, segment: Segment) -> Connection:
    """A connection in SYN-RECEIVED for this SYN; its SYN/ACK is due."""
    config = listener.config
    option = find_capable(segment.options)
    profile = profile_of_syn(option, config)
    tcb = tcb_for_syn(config.tcp, listener.jar, now, segment)
    conn = Connection(number, "server", context, tcb, profile, config.mptcp, config.paths)
    conn.lost_third_ack = config.mptcp.lost_third_ack
    if profile is Profile.TCP:
        conn.fallback_reason = plain_reason(config)
        return conn
    assert option is not None
    context.count("MPCapableSYNRX")
    key = _free_key(context, conn.speech.sha256)
    if key is None:
        observe(conn, now, conn.first, Observation.TOKEN_IN_USE)
        return conn
    conn.set_local_key(key)
    if option.sender_key is not None:
        conn.set_remote_key(option.sender_key)
    conn.checksum = config.mptcp.checksum or wants_checksum(option)
    conn.book.deny_join_initial = denies_join_initial(option, conn.speech)
    return conn


def tcb_for_syn(config: TcpConfig, jar: SynCookieJar, now: int, segment: Segment) -> Tcb:
    """In SYN-RECEIVED, its SYN/ACK due (RFC 9293 §3.10.7.2)."""
    tuple_ = four_tuple(segment)
    tcb = Tcb(config, tuple_.local, tuple_.remote, jar.isn(now, tuple_), jar.timestamp_offset(tuple_))
    take_syn(tcb, now, segment)
    return tcb


def take_syn(tcb: Tcb, now: int, segment: Segment) -> None:
    """A new subflow answers this SYN."""
    tcb.irs = segment.seq
    agree(tcb, read_syn_options(segment), now)
    tcb.snd_wnd = tcb.max_snd_wnd = segment.window
    tcb.move(State.SYN_RECEIVED)
    tcb.syn_due = True


def plain_reason(config: ServerConfig) -> Reason:
    """Why an accepted connection is plain TCP."""
    offers_mptcp = any(profile is not Profile.TCP for profile in config.profiles)
    return Reason.NO_CAPABLE_IN_SYN if offers_mptcp else Reason.NONE


def _free_key(context: Context, sha256: bool) -> int | None:
    for _ in range(KEY_TRIES):
        key = context.random(8)
        if token_and_idsn(key, sha256)[0] not in context.tokens:
            return key
    return None


def answer_with_cookie(listener: Listener, context: Context, now: int, segment: Segment) -> Segment:
    """The SYN/ACK that needs no state: everything is in its sequence number, key and timestamp."""
    config, tuple_ = listener.config, four_tuple(segment)
    offered = find_capable(segment.options)
    profile = profile_of_syn(offered, config)
    if profile is Profile.TCP:
        return cookie_synack(listener, context, now, segment)
    context.count("MPCapableSYNRX")
    speech_ = speech(profile, config.mptcp)
    isn = listener.jar.make(now, tuple_, segment.seq, read_syn_options(segment).mss)
    key = listener.jar.key(tuple_, isn, speech_.version)
    # On a collision the SYN/ACK leaves MPTCP out (RFC 8684 §3.1; the draft says "third ACK", a slip).
    if token_and_idsn(key, speech_.sha256)[0] in context.tokens:
        return cookie_synack(listener, context, now, segment)
    wants = flags(config.mptcp.checksum, speech_.sha256 and config.mptcp.deny_join_initial)
    return cookie_synack(listener, context, now, segment, (MpCapable(speech_.version, wants, key),))


def cookie_synack(
    listener: Listener, context: Context, now: int, segment: Segment, more: tuple[Option, ...] = ()
) -> Segment:
    """A SYN/ACK with a cookie, and `more` options behind TCP's own."""
    config, tuple_ = listener.config, four_tuple(segment)
    syn = read_syn_options(segment)
    options: list[Option] = [MaximumSegmentSize(config.tcp.mss_from(segment.dst))]
    if config.tcp.timestamps and syn.timestamp is not None:
        if syn.sack and config.tcp.sack:
            options.append(SackPermitted())
        if syn.window_shift is not None and config.tcp.window_scale is not None:
            options.append(WindowScale(config.tcp.window_scale))
        clock = timestamp_at(now, listener.jar.timestamp_offset(tuple_))
        options.append(Timestamps(stamp_options(clock, syn), syn.timestamp))
    context.count("SyncookiesSent")
    listener.cookies_at = now
    return Segment(
        segment.dst,
        segment.src,
        segment.dport,
        segment.sport,
        listener.jar.make(now, tuple_, segment.seq, syn.mss),
        seq_add(segment.seq, 1),
        SYN | ACK,
        config.tcp.syn_window,
        (*options, *more),
    )
