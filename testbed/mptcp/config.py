"""What a user may choose about a stack: profiles, TCP constants, client and server behaviour.

Decides defaults and nothing else. All times are integer nanoseconds, all sizes bytes.
Read first: docs of each field; RFC 9293 for TCP's, RFC 8684 §3.1 and §3.9 for MPTCP's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from testbed.mptcp.paths import PathsConfig

MICROSECOND = 1_000
MILLISECOND = 1_000_000
SECOND = 1_000_000_000

LEAST_RECEIVE_BUFFER = 1460  # bytes; much less than a segment, and the scaled window could never open
LEAST_DRAFT_VERSION, LAST_DRAFT_VERSION = 2, 15  # a nibble; 0 and 1 are those of v0 and v1


class Profile(StrEnum):
    """How a stack speaks."""

    TCP = "tcp"
    V0 = "v0"  # RFC 6824
    DRAFT = "draft"  # draft-paasch-mptcp-syncookies-02
    V1 = "v1"  # RFC 8684
    KERNEL = "kernel"  # the machine's own stack, in a lab


SPOKEN = (Profile.TCP, Profile.V0, Profile.DRAFT, Profile.V1)  # by this package's endpoint


class SynCookies(StrEnum):
    """When a listener answers statelessly; the words of Linux's tcp_syncookies 0, 1, 2."""

    OFF = "off"
    AUTO = "auto"  # when the half-open queue is full
    ALWAYS = "always"


class ThirdAck(StrEnum):
    """What ends the client's handshake when it has data ready (draft §3.1.1)."""

    BARE = "bare"  # an ACK of its own, data behind it
    PIGGYBACK = "piggyback"  # the first data is the third ACK


class FirstData(StrEnum):
    """The option on the client's first data in the draft and v1 profiles."""

    CAPABLE = "capable"  # MP_CAPABLE combined with the mapping, as specified
    DSS = "dss"  # a plain DSS: what a client without the proposal would do (an ablation)


class FastOpenAnswer(StrEnum):
    """When a server that took data from a SYN may send data itself."""

    AUTO = "auto"  # at once, but for v1: Linux's clients take a mapping without a DATA_ACK for a fallback
    AT_ONCE = "at_once"  # before the client's key has come: RFC 8684 Appendix B, the draft §3.1.2
    AFTER_KEY = "after_key"  # the handshake is over: nothing is won for what the server says


class FastOpenSpace(StrEnum):
    """What a SYN/ACK gives up when a Fast Open cookie does not fit beside MP_CAPABLE and timestamps."""

    SHORTEN = "shorten"  # part of the cookie
    NO_TIMESTAMPS = "no_timestamps"  # the timestamps, as Linux does


class LostThirdAck(StrEnum):
    """What a stateful RFC 6824 server does when data comes and the third ACK never did (§3.1)."""

    KEEP = "keep"  # Key-A is known from the SYN: MPTCP
    FALL_BACK = "fall_back"  # the letter of §3.1: no MP_CAPABLE in the third packet, TCP


@dataclass(frozen=True, slots=True)
class TcpConfig:
    mss: int = 1460  # what we announce over IPv4; over IPv6, whose header is longer, 20 less
    timestamps: bool = True
    sack: bool = True  # selective acknowledgement (RFC 2018)
    window_scale: int | None = 7  # None: do not offer the option
    receive_buffer: int = 1 << 20
    send_buffer: int = 1 << 20
    rto_initial: int = SECOND  # RFC 6298 (2.1)
    rto_min: int = 200 * MILLISECOND  # Linux's; RFC 6298 (2.4) says 1 s
    rto_max: int = 60 * SECOND
    syn_attempts: int = 7  # SYNs, and SYN/ACKs, sent before giving up
    data_attempts: int = 15  # transmissions of one segment before the subflow is given up
    delayed_ack: int = 40 * MILLISECOND  # RFC 9293 §3.8.6.3 allows up to 500 ms
    time_wait: int = 60 * SECOND
    gso_max_size: int = 0  # bytes of an IP packet that the network cuts into segments; 0: send segments
    nagle: bool = False
    initial_window: int = 10  # segments, RFC 6928
    congestion: str = "cubic"  # a name of testbed.mptcp.cc.CONTROLLERS

    @property
    def syn_window(self) -> int:
        """The window field of a SYN or SYN/ACK, which is never scaled (RFC 7323 §2.2)."""
        return min(self.receive_buffer, 0xFFFF)

    def mss_from(self, address: bytes) -> int:
        """The MSS to announce from this local address."""
        return self.mss if len(address) == 4 else self.mss - 20


@dataclass(frozen=True, slots=True)
class MptcpConfig:
    checksum: bool = False  # ask for DSS checksums (A bit)
    refuse_checksum: bool = False  # speak plain TCP with a peer that asks for them (RFC 8684 §3.1)
    draft_version: int = 2  # version nibble of the draft profile; the draft leaves it to the IETF
    dsn_bytes: int = 8  # 4 or 8: the form of our DSNs
    repeat_keys: bool = True  # a client's, on every ACK until a DATA_ACK comes; False: once (an ablation)
    isn_recovery: bool = False  # draft §3.2: rebuild the ISN from a DSS when the third ACK is lost
    lost_third_ack: LostThirdAck = LostThirdAck.KEEP
    scheduler: str = "lowest_rtt"  # a name of testbed.mptcp.sched.SCHEDULERS
    opportunistic: bool = True  # blocked, or at the end: send on an idle subflow what slower ones bring late
    penalize: bool = True  # and halve the window of the subflow that holds the left edge
    deny_join_initial: bool = False  # flag C: no more subflows to the address of the first (RFC 8684 §3.1)
    deny_join: bool = False  # refuse every MP_JOIN
    close_timeout: int = 60 * SECOND  # how long a connection without subflows waits for a new one


@dataclass(frozen=True, slots=True)
class ClientConfig:
    profile: Profile = Profile.V1
    third_ack: ThirdAck = ThirdAck.BARE
    first_data: FirstData = FirstData.CAPABLE
    syn_retries: int = 2  # MPTCP SYN retransmissions before plain SYNs (RFC 8684 §3.9.3)
    fast_open: bool = False  # ask for a cookie, later send data in the SYN (RFC 7413)
    fast_open_pauses: bool = True  # none for some time after failures (RFC 7413 §4.1.3); False: try each time
    tcp: TcpConfig = field(default_factory=TcpConfig)
    mptcp: MptcpConfig = field(default_factory=MptcpConfig)
    paths: PathsConfig = field(default_factory=PathsConfig)  # which subflows, which announcements


@dataclass(frozen=True, slots=True)
class ServerConfig:
    profiles: tuple[Profile, ...] = (Profile.V1, Profile.DRAFT, Profile.V0, Profile.TCP)
    syn_cookies: SynCookies = SynCookies.AUTO
    backlog: int = 256  # half-open connections before cookies (auto) or silence (off)
    fast_open: bool = False  # hand out cookies, take data from SYNs that bring one (RFC 7413)
    fast_open_pending: int = 256  # such connections whose handshake is not over; more: ordinary handshakes
    fast_open_cookie: Literal[4, 6, 8, 10, 12, 14, 16] = 8  # bytes
    fast_open_answer: FastOpenAnswer = FastOpenAnswer.AUTO
    fast_open_space: FastOpenSpace = FastOpenSpace.SHORTEN
    tcp: TcpConfig = field(default_factory=TcpConfig)
    mptcp: MptcpConfig = field(default_factory=MptcpConfig)
    paths: PathsConfig = field(default_factory=PathsConfig)  # which subflows, which announcements
