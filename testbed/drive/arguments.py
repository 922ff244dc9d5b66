"""What the server and the client that a user runs by hand can be asked for.

Decides which values make sense, the words in which the error says so, and what they mean for the stack's
configuration. Knows no packet and sets nothing up: programs.py runs what these describe.
Read first: testbed/mptcp/config.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from testbed.errors import UserError
from testbed.mptcp.cc import CONTROLLERS
from testbed.mptcp.config import (
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
        for option, size in (("--receive-buffer", self.receive_buffer), ("--send-buffer", self.send_buffer)):
            if size < 1:
                raise UserError(f"{option} {size}: a size above 0 is expected, such as 256KB")
        if not (math.isfinite(self.interval) and self.interval >= 0):
            raise UserError(f"--interval {self.interval:g}: a number of seconds is expected; 0: no intervals")

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
    isn_recovery: bool = False
    fast_open_answer: FastOpenAnswer = FastOpenAnswer.AUTO
    deny_join_initial: bool = False

    def __post_init__(self) -> None:
        Common.__post_init__(self)
        if self.serve not in SERVICES:
            raise UserError(f"--serve {self.serve}: there are {', '.join(SERVICES)}")
        check_port(self.port)

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

    def __post_init__(self) -> None:
        Common.__post_init__(self)
        check_port(self.port)
        packed(self.address)
        parse_pace(self.pace)
        for option, size in (("--send", self.send), ("--receive", self.receive)):
            if size is not None and size < 0:
                raise UserError(f"{option} {size}: a number of bytes is expected, 0 or more")
        for option, seconds in (("--timeout", self.timeout), ("--time", self.time)):
            if seconds is not None and not (math.isfinite(seconds) and seconds > 0):
                raise UserError(f"{option} {seconds:g}: a number of seconds above 0 is expected")
        if self.time is not None and (self.send or self.receive is not None):
            raise UserError("--time ends the transfer: leave out --send and --receive, or give --send 0")

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


def check_port(port: int) -> None:
    if not 0 < port < 65536:
        raise UserError(f"port {port}: 1 to 65535 is expected")
