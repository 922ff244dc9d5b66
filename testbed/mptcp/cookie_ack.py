"""An ACK for no connection: does it bring back a SYN cookie, and what can be rebuilt from it?

Decides whether a connection comes into being without any state but the secret. Which of its missing
pieces mean fallback is decided in fallback.py.
Read first: draft-paasch-mptcp-syncookies-02 §2, §3.1.1, §3.2; RFC 4987 §3.6.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from testbed.mptcp.capable import find_capable, wants_checksum
from testbed.mptcp.config import Profile, ServerConfig, TcpConfig
from testbed.mptcp.connection import Connection
from testbed.mptcp.context import Context
from testbed.mptcp.fallback import Observation
from testbed.mptcp.keys import token_and_idsn
from testbed.mptcp.listener import Listener, four_tuple, plain_reason
from testbed.mptcp.profiles import profile_of_version, usable
from testbed.mptcp.tcp.cookies import FourTuple, Remembered, timestamp_at, unstamp_options
from testbed.mptcp.tcp.handshake import SynOptions, agree
from testbed.mptcp.tcp.state import State
from testbed.mptcp.tcp.tcb import Tcb
from testbed.mptcp.wire import ACK, Dss, Malformed, MpCapable, Option, Segment, Timestamps
from testbed.mptcp.wire.mptcp_options import KIND, MptcpOption
from testbed.mptcp.wire.sequence import MASK32, dsn_add, seq_add


class Fate(Enum):
    """Of a segment that brought back no cookie."""

    RESET = "reset"
    DROP = "drop"


def connection_from_cookie(
    listener: Listener, context: Context, number: Callable[[], int], now: int, segment: Segment
) -> Connection | None:
    """The connection in SYN-RECEIVED, ready to take `segment`; None when the cookie is not ours.

    Only a segment right behind the SYN can validate: the cookie hashes the client's ISN.
    """
    client_isn, cookie = (segment.seq - 1) & MASK32, (segment.ack - 1) & MASK32
    tuple_ = four_tuple(segment)
    option = find_capable(segment.options)
    version = option.version if option is not None else 0
    remembered = listener.jar.check(now, tuple_, client_isn, cookie, version)
    if remembered is None:
        return None
    config = listener.config
    tcb = tcb_from_cookie(config.tcp, tuple_, segment, client_isn, cookie, remembered, now)
    profile = _profile_back(option, segment.options, config)
    conn = Connection(number(), "server", context, tcb, profile, config.mptcp, config.paths)
    conn.receiver.adv = tcb.rcv_adv
    conn.lost_third_ack = config.mptcp.lost_third_ack
    if profile is Profile.TCP:
        conn.fallback_reason = plain_reason(config)
    else:
        _restore_key(conn, context, option, remembered.key)
    return conn


def tcb_from_cookie(
    config: TcpConfig,
    tuple_: FourTuple,
    segment: Segment,
    client_isn: int,
    cookie: int,
    remembered: Remembered,
    now: int,
) -> Tcb:
    """The subflow in SYN-RECEIVED, as if the SYN had been kept."""
    tcb = Tcb(config, tuple_.local, tuple_.remote, cookie, remembered.timestamp_offset)
    tcb.irs = client_isn
    agree(tcb, _options_back(segment, remembered.mss), now)
    tcb.move(State.SYN_RECEIVED)
    tcb.snd_nxt = 1
    tcb.rcv_adv = 1 + config.syn_window
    tcb.last_ack_sent = 1
    tcb.echo_is_cookie = True
    return tcb


def _options_back(segment: Segment, mss: int) -> SynOptions:
    """The SYN's options from our timestamp's echo; without timestamps, window scaling is lost."""
    for option in segment.options:
        if isinstance(option, Timestamps):
            return unstamp_options(option.echo, mss, option.value)
    return SynOptions(mss)


def _profile_back(option: MpCapable | None, options: tuple[Option, ...], config: ServerConfig) -> Profile:
    """What was agreed: by the version that comes back. Without the keys any other MPTCP option still
    tells that it was MPTCP, if not which; RFC 6824's is the one whose data carries no keys."""
    if option is not None and option.receiver_key is not None and usable(option):
        return profile_of_version(option.version, config.mptcp, config.profiles) or Profile.TCP
    if not any(isinstance(one, MptcpOption | Malformed) and one.encode()[0] == KIND for one in options):
        return Profile.TCP
    spoken = [profile for profile in config.profiles if profile is not Profile.TCP]
    if Profile.V0 in spoken:
        return Profile.V0
    return spoken[0] if spoken else Profile.TCP


def _restore_key(conn: Connection, context: Context, option: MpCapable | None, key: int) -> None:
    """Our key is recomputed, never believed: the echo must equal it (draft §3.1.1)."""
    if option is None or option.receiver_key is None:
        conn.third_packet_observation = Observation.COOKIE_WITHOUT_CAPABLE
    elif option.receiver_key != key:
        conn.third_packet_observation = Observation.COOKIE_KEY_MISMATCH
    elif token_and_idsn(key, conn.speech.sha256)[0] in context.tokens:
        conn.third_packet_observation = Observation.TOKEN_IN_USE
    else:
        conn.set_local_key(key)
        # The SYN's A bit is forgotten; the client says again what was agreed.
        conn.checksum = conn.mptcp.checksum or wants_checksum(option)


def recover_isn(listener: Listener, now: int, segment: Segment) -> Segment | Fate:
    """The draft's §3.2: the first data segment is lost, a later one tells the ISN by its DSS.

    Answers with a duplicate ACK that carries a DATA_ACK, so that the client does not take its options
    for stripped; keeps nothing. The DATA_ACK is DSN - SSN + 1, the next octet expected (the draft's
    figure 3 prints one less). Works only where a segment starts its mapping: offload copies one DSS onto
    many segments, so anything else is dropped without a reset.
    """
    dss = next((option for option in segment.options if isinstance(option, Dss)), None)
    if dss is None:
        return Fate.RESET
    if dss.dsn is None or not segment.payload or dss.length - dss.data_fin != len(segment.payload):
        return Fate.DROP
    client_isn, cookie = (segment.seq - dss.ssn) & MASK32, (segment.ack - 1) & MASK32
    remembered = listener.jar.check(now, four_tuple(segment), client_isn, cookie)
    if remembered is None:
        return Fate.RESET
    data_ack = dsn_add(dss.dsn, 1 - dss.ssn)
    options: list[Option] = []
    for option in segment.options:
        if isinstance(option, Timestamps):
            options.append(Timestamps(timestamp_at(now, remembered.timestamp_offset), option.value))
    if dss.dsn_8:
        options.append(Dss(data_ack=data_ack, data_ack_8=True))
    else:
        options.append(Dss(data_ack=data_ack & MASK32))
    return Segment(
        segment.dst,
        segment.src,
        segment.dport,
        segment.sport,
        segment.ack,
        seq_add(client_isn, 1),
        ACK,
        listener.config.tcp.syn_window >> (listener.config.tcp.window_scale or 0),
        tuple(options),
    )


def serves_isn_recovery(listener: Listener) -> bool:
    """A switch of the draft profile; RFC 8684 did not take it over."""
    return listener.config.mptcp.isn_recovery and Profile.DRAFT in listener.config.profiles
