"""What the server and the client that a user runs by hand can be asked for.

Decides which values make sense, the words in which the error says so, and what they mean for the stack's
configuration. Knows no packet and sets nothing up: programs.py runs what these describe.
Read first: testbed/mptcp/config.py.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from testbed.errors import UserError
from testbed.mptcp.bounds import BOUNDS
from testbed.mptcp.cc import CONTROLLERS
from testbed.mptcp.config import (
    LAST_DRAFT_VERSION,
    LEAST_DRAFT_VERSION,
    ClientConfig,
    FastOpenAnswer,
    FirstData,
    MptcpConfig,
    Profile,
    ServerConfig,
    SynCookies,
    TcpConfig,
    ThirdAck,
)
from testbed.mptcp.paths import Limits, PathsConfig, parse_endpoint, parse_limits
from testbed.mptcp.sched import SCHEDULERS
from testbed.workloads.paced import parse_pace
from testbed.workloads.serving import SERVICES
from testbed.workloads.spec import PORT, packed

TCP = TcpConfig()  # the defaults
LEAST_INTERVAL = 0.1  # seconds, as in iperf3
MOST_SECONDS = 365 * 24 * 3600
DEFAULT_SIZE = 1_000_000  # bytes that a client sends when it is told neither a number nor a time


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """What both ends take. `interval` in seconds, 0: no interval reports; buffers in bytes."""

    bind: tuple[str, ...] = ()
    checksum: bool = False
    draft_version: int = 2
    fast_open: bool = False
    endpoints: tuple[str, ...] = ()  # in ip-mptcp's words; none: what further addresses are for by themselves
    limits: str = ""
    scheduler: str = MptcpConfig().scheduler
    congestion: str = TCP.congestion
    receive_buffer: int = TCP.receive_buffer
    send_buffer: int = TCP.send_buffer
    interval: float = 1.0
    control: bool = False  # heed the words of control.py on standard input
    offload: bool = True  # large frames where the kernel takes them

    def __post_init__(self) -> None:
        for text in self.bind:
            packed(text)
        self.paths()
        for option, name, known in (
            ("--scheduler", self.scheduler, SCHEDULERS),
            ("--congestion", self.congestion, CONTROLLERS),
        ):
            if name not in known:
                raise UserError(f"{option} {name}: there are {', '.join(known)}")
        for option, size, (least, most) in (
            ("--receive-buffer", self.receive_buffer, BOUNDS[TcpConfig, "receive_buffer"]),
            ("--send-buffer", self.send_buffer, BOUNDS[TcpConfig, "send_buffer"]),
        ):
            if size < least:
                raise UserError(f"{option} {size}: {least} bytes or more are expected, such as 256KB")
            if size > most:
                raise UserError(f"{option} {size}: {most} bytes or less are expected, such as 256KB")
        if self.interval and not LEAST_INTERVAL <= self.interval <= MOST_SECONDS:
            raise UserError(
                f"--interval {self.interval:g}: {LEAST_INTERVAL:g} seconds or more are expected, and at most "
                f"{MOST_SECONDS:g}; 0: none"
            )
        if not LEAST_DRAFT_VERSION <= self.draft_version <= LAST_DRAFT_VERSION:
            raise UserError(
                f"--draft-version {self.draft_version}: {LEAST_DRAFT_VERSION} to {LAST_DRAFT_VERSION} is "
                "expected; 0 and 1 are the versions of v0 and v1"
            )

    def _refuse_multipath(self) -> None:
        """Where only TCP is to be spoken."""
        for option, given in (
            ("--checksum", self.checksum),
            ("--endpoint", self.endpoints),
            ("--limits", self.limits),
        ):
            if given:
                raise UserError(f"{option} with --profile tcp: plain TCP has no such thing; leave one out")

    def paths(self) -> PathsConfig:
        """UserError for words that mean nothing."""
        found = tuple(parse_endpoint(text) for text in self.endpoints)
        return PathsConfig(found or None, parse_limits(self.limits) if self.limits else Limits())

    def tcp(self, gso_max_size: int) -> TcpConfig:
        return TcpConfig(
            gso_max_size=gso_max_size,
            congestion=self.congestion,
            receive_buffer=self.receive_buffer,
            send_buffer=self.send_buffer,
        )


@dataclass(frozen=True, slots=True)
class ServerArguments(Common):
    """`bind` empty: all addresses of the host. `once`: end with the first connection."""

    port: int = PORT
    profiles: tuple[Profile, ...] = (Profile.V1, Profile.DRAFT, Profile.V0, Profile.TCP)
    syn_cookies: SynCookies = SynCookies.AUTO
    serve: str = "echo"
    once: bool = False
    timeout: float | None = None  # seconds without a connection and without progress; None: for ever
    isn_recovery: bool = False
    fast_open_answer: FastOpenAnswer = FastOpenAnswer.AUTO
    deny_join_initial: bool = False

    def __post_init__(self) -> None:
        Common.__post_init__(self)
        if self.serve not in SERVICES:
            raise UserError(f"--serve {self.serve}: there are {', '.join(SERVICES)}")
        check_port(self.port)
        check_seconds("--timeout", self.timeout)
        if self.profiles == (Profile.TCP,):
            self._refuse_multipath()
        if self.fast_open and self.syn_cookies is SynCookies.ALWAYS:
            raise UserError(
                "--fast-open with --syn-cookies always: a stateless answer gives no Fast Open cookie and "
                "takes no data from a SYN; auto or off is expected"
            )

    def config(self, gso_max_size: int) -> ServerConfig:
        return ServerConfig(
            self.profiles,
            self.syn_cookies,
            fast_open=self.fast_open,
            fast_open_answer=self.fast_open_answer,
            tcp=self.tcp(gso_max_size),
            mptcp=MptcpConfig(
                checksum=self.checksum,
                draft_version=self.draft_version,
                isn_recovery=self.isn_recovery,
                scheduler=self.scheduler,
                deny_join_initial=self.deny_join_initial,
            ),
            paths=self.paths(),
        )


@dataclass(frozen=True, slots=True)
class ClientArguments(Common):
    """`send` in bytes, `time` in seconds: one of them, or `time` with `send` 0, which only listens for so
    long. `receive` None: whatever the server sends until it has finished."""

    address: str
    port: int = PORT
    profile: Profile = Profile.V1
    send: int | None = None
    time: float | None = None
    receive: int | None = None
    third_ack: ThirdAck = ThirdAck.BARE
    first_data: FirstData = FirstData.CAPABLE
    syn_retries: int = 2
    pace: str = ""  # in paced.py's words; none: as fast as it goes
    timeout: float = 60.0  # seconds without progress
    check: bool = True  # compare what comes back, byte for byte

    def __post_init__(self) -> None:
        Common.__post_init__(self)
        check_port(self.port)
        self._check_addresses()
        if self.profile is Profile.TCP:
            self._refuse_multipath()
        if parse_pace(self.pace).hold and not self.control:
            raise UserError(f"--pace {self.pace}: only `go` ends a hold; give --control as well")
        for option, size in (("--send", self.send), ("--receive", self.receive)):
            if size is not None and size < 0:
                raise UserError(f"{option} {size}: a number of bytes is expected, 0 or more")
        check_seconds("--timeout", self.timeout)
        check_seconds("--time", self.time)
        least, most = BOUNDS[ClientConfig, "syn_retries"]
        if not least <= self.syn_retries <= most:
            raise UserError(f"--syn-retries {self.syn_retries}: {least} to {most} is expected")
        if self.time is not None and (self.send or self.receive is not None):
            raise UserError("--time ends the transfer: leave out --send and --receive, or give --send 0")

    def _check_addresses(self) -> None:
        target = ipaddress.ip_address(packed(self.address))
        if target.is_unspecified or target.is_multicast or self.address == "255.255.255.255":
            raise UserError(f"{self.address}: the address of one host is expected")
        if self.bind and len(packed(self.bind[0])) != len(target.packed):
            raise UserError(
                f"--bind {self.bind[0]}: the first is the first subflow's, which goes to {self.address}: an "
                f"IPv{target.version} address is expected; others may follow"
            )

    @property
    def size(self) -> int | None:
        """Bytes to send; None: as many as the time allows."""
        if self.send is None and self.time is None:
            return DEFAULT_SIZE
        return self.send

    def config(self, gso_max_size: int) -> ClientConfig:
        return ClientConfig(
            self.profile,
            self.third_ack,
            self.first_data,
            self.syn_retries,
            fast_open=self.fast_open,
            tcp=self.tcp(gso_max_size),
            mptcp=MptcpConfig(
                checksum=self.checksum, draft_version=self.draft_version, scheduler=self.scheduler
            ),
            paths=self.paths(),
        )


def check_seconds(option: str, seconds: float | None) -> None:
    """UserError unless it is a time that can be waited for: above 0 and at most a year."""
    if seconds is not None and not (0 < seconds <= MOST_SECONDS):
        raise UserError(
            f"{option} {seconds:g}: a number of seconds above 0 is expected, at most {MOST_SECONDS}"
        )


def check_port(port: int) -> None:
    if not 0 < port < 65536:
        raise UserError(f"port {port}: 1 to 65535 is expected")
