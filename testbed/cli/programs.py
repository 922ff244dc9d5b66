"""`testbed server` and `testbed client`: the userspace stack by hand, in any host or namespace."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from testbed.cli import transfers
from testbed.cli.flags import size_of
from testbed.cli.show import counted
from testbed.errors import UserError
from testbed.mptcp.config import SPOKEN, FirstData, Profile, SynCookies, ThirdAck
from testbed.portable import need_linux
from testbed.terminal import shorten

if TYPE_CHECKING:
    from testbed.drive import Interval


class Service(StrEnum):
    ECHO = "echo"
    SINK = "sink"
    SOURCE = "source"
    HTTP = "http"


Bind = Annotated[
    list[str] | None,
    typer.Option(metavar="ADDR", help="A local address to use; the first is the first subflow's."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Results as JSON.")]
Checksum = Annotated[bool, typer.Option("--checksum", help="Ask for DSS checksums.")]
NoOffload = Annotated[
    bool,
    typer.Option("--no-offload", help="Single packets only: no large frames, either way."),
]
FastOpen = Annotated[
    bool, typer.Option("--fast-open", help="TCP Fast Open: cookies, and data in the SYN (RFC 7413).")
]
Endpoints = Annotated[
    list[str] | None,
    typer.Option(
        "--endpoint",
        metavar="WORDS",
        help="An address and what it is for, as `ip mptcp endpoint add` takes it: '10.0.2.1 id 2 subflow'.",
    ),
]
LimitWords = Annotated[
    str, typer.Option("--limits", metavar="WORDS", help="As in 'subflow 4 add_addr_accepted 2'.")
]
Scheduler = Annotated[str, typer.Option(metavar="NAME", help="Which subflow carries the next bytes.")]
Congestion = Annotated[str, typer.Option(metavar="NAME", help="The congestion controller.")]
ReceiveBuffer = Annotated[
    str, typer.Option(metavar="SIZE", help="What may wait for the application or for what is missing.")
]
SendBuffer = Annotated[str, typer.Option(metavar="SIZE", help="What may wait to be sent or acknowledged.")]
Every = Annotated[
    float, typer.Option(metavar="S", help="Seconds from one report to the next; 0: only the summary.")
]
Control = Annotated[
    bool, typer.Option("--control", help="Heed `endpoint delete id 2` and the like on standard input.")
]
Draft = Annotated[int, typer.Option(help="Version nibble of the draft profile.")]


def server(
    bind: Bind = None,
    port: Annotated[int, typer.Option(help="The port.")] = 20080,
    profile: Annotated[str, typer.Option(metavar="LIST", help="Profiles offered, the best first.")] = (
        "v1,draft,v0,tcp"
    ),
    syn_cookies: Annotated[
        SynCookies, typer.Option(help="When to answer SYNs statelessly.")
    ] = SynCookies.AUTO,
    serve: Annotated[Service, typer.Option(help="What connections get.")] = Service.ECHO,
    once: Annotated[bool, typer.Option("--once", help="End with the first connection.")] = False,
    timeout: Annotated[
        float | None,
        typer.Option(
            metavar="S",
            help="End after this many seconds without a new connection and without progress; status 1 if a "
            "connection was still open, or with --once if none came. Default: wait for ever.",
        ),
    ] = None,
    checksum: Checksum = False,
    draft_version: Draft = 2,
    isn_recovery: Annotated[
        bool, typer.Option("--isn-recovery", help="Rebuild the ISN from a DSS (draft §3.2).")
    ] = False,
    fast_open: FastOpen = False,
    endpoint: Endpoints = None,
    limits: LimitWords = "",
    scheduler: Scheduler = "lowest_rtt",
    congestion: Congestion = "cubic",
    receive_buffer: ReceiveBuffer = "1MiB",
    send_buffer: SendBuffer = "1MiB",
    deny_join_initial: Annotated[
        bool, typer.Option("--deny-join-initial", help="No subflows to the first address (flag C).")
    ] = False,
    control: Control = False,
    interval: Every = 1.0,
    no_offload: NoOffload = False,
    as_json: AsJson = False,
) -> None:
    """Serve with the userspace stack until Ctrl-C.

    The TUN device, rules and routes are set up, and removed at the end.
    """
    profiles = _profiles(profile)
    need_linux("testbed server")
    from testbed.drive import ServerArguments, run_server

    arguments = ServerArguments(
        bind=tuple(bind or ()),
        port=port,
        profiles=profiles,
        syn_cookies=syn_cookies,
        serve=serve.value,
        once=once,
        timeout=timeout,
        checksum=checksum,
        draft_version=draft_version,
        isn_recovery=isn_recovery,
        fast_open=fast_open,
        endpoints=tuple(endpoint or ()),
        limits=limits,
        scheduler=scheduler,
        congestion=congestion,
        receive_buffer=size_of(receive_buffer, "--receive-buffer"),
        send_buffer=size_of(send_buffer, "--send-buffer"),
        interval=interval,
        deny_join_initial=deny_join_initial,
        control=control,
        offload=not no_offload,
    )

    report = _Report(as_json, sys.stdout)

    def ready(addresses: tuple[str, ...]) -> None:
        print(f"serving {serve.value} on {', '.join(addresses)} port {port}", file=sys.stderr, flush=True)

    done = run_server(arguments, on_ready=ready, on_connection=report.connection, on_interval=report.interval)
    if as_json:
        print(json.dumps(done))
    else:
        print(f"{counted(done['connections'], 'connection')} served", file=sys.stderr)
    if done["timed_out"]:
        print(f"no connection and no progress for {timeout:g} s", file=sys.stderr)
    if done["interrupted"] and once:
        raise typer.Exit(130)
    if done["timed_out"] and (done["cut_off"] or (once and not done["connections"])):
        raise typer.Exit(1)


def client(
    address: Annotated[
        str,
        typer.Argument(
            metavar="ADDR:PORT", help="The server: an address (IPv6 in []) or a host name, and its port."
        ),
    ],
    bind: Bind = None,
    profile: Annotated[Profile, typer.Option(help="How to speak.")] = Profile.V1,
    send: Annotated[
        str | None, typer.Option(metavar="SIZE", help="How much to send. Default: 1MB, or as --time allows.")
    ] = None,
    time: Annotated[
        float | None, typer.Option(metavar="S", help="Send for so long; with --send 0, only listen.")
    ] = None,
    receive: Annotated[
        str | None, typer.Option(metavar="SIZE", help="How much to expect. Default: what the server sends.")
    ] = None,
    third_ack: Annotated[ThirdAck, typer.Option(help="What ends the handshake.")] = ThirdAck.BARE,
    first_data: Annotated[FirstData, typer.Option(help="The option on the first data.")] = FirstData.CAPABLE,
    syn_retries: Annotated[int, typer.Option(min=0, help="MP_CAPABLE SYNs repeated before plain ones.")] = 2,
    no_check: Annotated[
        bool,
        typer.Option(
            "--no-check", help="Do not compare what comes back: any bytes, and any number, are right."
        ),
    ] = False,
    checksum: Checksum = False,
    draft_version: Draft = 2,
    timeout: Annotated[float, typer.Option(help="Seconds without progress before giving up.")] = 60.0,
    fast_open: FastOpen = False,
    endpoint: Endpoints = None,
    limits: LimitWords = "",
    scheduler: Scheduler = "lowest_rtt",
    congestion: Congestion = "cubic",
    receive_buffer: ReceiveBuffer = "1MiB",
    send_buffer: SendBuffer = "1MiB",
    control: Control = False,
    pace: Annotated[
        str,
        typer.Option(
            metavar="WORDS",
            help="Send more slowly: 'subflows 2' waits for as many, 'block 10000' for what comes back, "
            "'hold 500000' for `go` (see --control).",
        ),
    ] = "",
    interval: Every = 1.0,
    no_offload: NoOffload = False,
    as_json: AsJson = False,
) -> None:
    """Open one connection with the userspace stack and report.

    Sends, and checks byte for byte what comes back. Status 1 where bytes are wrong or missing, or where the
    connection was reset or hung.
    """
    host, port = _address(address)
    need_linux("testbed client")
    from testbed.drive import ClientArguments, address_of, run_client

    report = _Report(as_json, sys.stdout)
    result = run_client(
        ClientArguments(
            address_of(host, tuple(bind or ())),
            port,
            bind=tuple(bind or ()),
            profile=profile,
            send=None if send is None else size_of(send, "--send"),
            time=time,
            receive=None if receive is None else size_of(receive, "--receive"),
            third_ack=third_ack,
            first_data=first_data,
            syn_retries=syn_retries,
            checksum=checksum,
            draft_version=draft_version,
            fast_open=fast_open,
            timeout=timeout,
            check=not no_check,
            endpoints=tuple(endpoint or ()),
            limits=limits,
            scheduler=scheduler,
            congestion=congestion,
            receive_buffer=size_of(receive_buffer, "--receive-buffer"),
            send_buffer=size_of(send_buffer, "--send-buffer"),
            interval=interval,
            control=control,
            pace=pace,
            offload=not no_offload,
        ),
        on_interval=report.interval,
    )
    report.connection(result)
    if result["interrupted"]:
        raise typer.Exit(130)
    if not result["intact"] or result["verdict"] in ("reset", "hang"):
        raise typer.Exit(1)


class _Report:
    """Lines as things happen, each at once, wherever they go; or one JSON object per connection."""

    def __init__(self, as_json: bool, out: TextIO) -> None:
        self._as_json, self._out = as_json, out
        self._intervals: dict[tuple[str, str], list[dict[str, object]]] = {}  # for JSON: what will be said
        self._said: tuple[str, str] | None = None  # the connection of the last line

    def interval(self, interval: Interval) -> None:
        ends = transfers.ends_of(interval)
        if self._as_json:
            self._intervals.setdefault(ends, []).append(interval.as_data())
        elif interval.start or not interval.last:  # the only one would say what the summary says
            if ends != self._said:
                self._print(f"{' to '.join(ends)}\n{transfers.HEAD}")
            self._print(transfers.interval_line(interval))
            self._said = ends

    def connection(self, result: dict[str, Any]) -> None:
        if self._as_json:
            intervals = self._intervals.pop((result["local"], result["remote"]), [])
            self._print(json.dumps({**result, "intervals": intervals}))
        else:
            self._print(transfers.summary(result))
            self._said = None

    def _print(self, text: str) -> None:
        print(text, file=self._out, flush=True)


def _profiles(text: str) -> tuple[Profile, ...]:
    known = [profile.value for profile in SPOKEN]
    words = [word.strip() for word in text.split(",")]
    for word in words:
        if word not in known:
            raise UserError(f"--profile {text}: {word!r} is none of {', '.join(known)}")
    return tuple(Profile(word) for word in words)


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    wrong = not colon or not host or not port.isdecimal() or len(port) > 5
    if wrong or (":" in host and not host.startswith("[")):
        raise UserError(
            f"{shorten(text)}: expected ADDR:PORT, such as 10.1.1.1:20080, [fd00::1]:20080 or server:20080"
        )
    return host.removeprefix("[").removesuffix("]"), int(port)
