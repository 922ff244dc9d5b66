"""What the keys of `client:` and `server:` mean to Linux, and which of them mean nothing to it.

Decides that a key at its default leaves Linux as it is; one that is changed becomes a sysctl of the host's
network namespace, a word of the path manager or an option of its sockets, and is refused where there is none.
Without endpoints of its own a host gets those that make the same paths as this project's stack does.
Pure: nothing is set here (node.py) and nothing asked of the machine.
Read first: testbed/mptcp/config.py; the kernel's Documentation/networking/{mptcp,ip}-sysctl.rst.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from testbed.mptcp.config import (
    ClientConfig,
    MptcpConfig,
    Profile,
    ServerConfig,
    SynCookies,
    TcpConfig,
)
from testbed.mptcp.paths import Flag, PathsConfig, describe
from testbed.workloads import HostSpec

MOST_LIMIT = 8  # MPTCP_PM_ADDR_MAX
MICROSECOND, MILLISECOND = 1_000, 1_000_000

Config = ClientConfig | ServerConfig
Sysctls = Mapping[str, object]
Refusal = tuple[tuple[str, ...], str]  # key, and what is wrong with it

# Of every run with Linux at an end. No connection is to learn from another, so that each stands for itself.
ALWAYS: Sysctls = {
    "net.ipv4.tcp_syncookies": 1,
    "net.ipv4.tcp_no_metrics_save": 1,
}
CONTROLLERS = {"cubic": "cubic", "newreno": "reno"}  # Linux's names
COOKIES = {SynCookies.OFF: 0, SynCookies.AUTO: 1, SynCookies.ALWAYS: 2}

APPLIED: dict[tuple[type, str], Callable[[Any], Sysctls]] = {
    (ClientConfig, "syn_retries"): lambda count: {"net.mptcp.syn_retrans_before_tcp_fallback": count},
    (ServerConfig, "syn_cookies"): lambda when: {"net.ipv4.tcp_syncookies": COOKIES[when]},
    (ServerConfig, "backlog"): lambda count: {"net.ipv4.tcp_max_syn_backlog": count},
    (ServerConfig, "fast_open"): lambda _: {"net.ipv4.tcp_fastopen": 3},
    (TcpConfig, "timestamps"): lambda on: {"net.ipv4.tcp_timestamps": int(on)},
    (TcpConfig, "sack"): lambda on: {"net.ipv4.tcp_sack": int(on)},
    (TcpConfig, "receive_buffer"): lambda size: {"net.ipv4.tcp_rmem": _memory(size)},
    (TcpConfig, "send_buffer"): lambda size: {"net.ipv4.tcp_wmem": _memory(size)},
    (TcpConfig, "rto_min"): lambda time: {"net.ipv4.tcp_rto_min_us": time // MICROSECOND},
    (TcpConfig, "rto_max"): lambda time: {"net.ipv4.tcp_rto_max_ms": time // MILLISECOND},
    (TcpConfig, "syn_attempts"): lambda count: {
        "net.ipv4.tcp_syn_retries": count - 1,
        "net.ipv4.tcp_synack_retries": count - 1,
    },
    (TcpConfig, "data_attempts"): lambda count: {"net.ipv4.tcp_retries2": count},
    (MptcpConfig, "checksum"): lambda on: {"net.mptcp.checksum_enabled": int(on)},
    (MptcpConfig, "deny_join_initial"): lambda on: {"net.mptcp.allow_join_initial_addr_port": int(not on)},
    (MptcpConfig, "close_timeout"): lambda time: {"net.mptcp.close_timeout": time // (1000 * MILLISECOND)},
}
# Options of the sockets, and the path manager's words.
ELSEWHERE = {
    (ClientConfig, "profile"),
    (ClientConfig, "fast_open"),
    (ClientConfig, "fast_open_pauses"),  # Linux's own pauses are off in every run
    (ServerConfig, "profiles"),
    (ServerConfig, "fast_open_pending"),
    (TcpConfig, "nagle"),
    (TcpConfig, "congestion"),  # of each socket: not every machine lets a namespace have a default of its own
    (PathsConfig, "endpoints"),
    (PathsConfig, "limits"),
}


@dataclass(frozen=True)
class Settings:
    """For node.py: sysctls, `ip mptcp endpoint add` and `ip mptcp limits set`."""

    sysctls: Sysctls
    endpoints: tuple[str, ...]
    limits: str


def is_kernel(config: Config) -> bool:
    profiles = (config.profile,) if isinstance(config, ClientConfig) else config.profiles
    return Profile.KERNEL in profiles


def refusals(role: str, config: Config) -> Iterator[Refusal]:
    """What an experiment asks of Linux that Linux cannot do; nothing where the host is not Linux's."""
    if not is_kernel(config):
        return
    if isinstance(config, ServerConfig) and len(config.profiles) > 1:
        yield (role, "profiles"), "kernel stands alone: one host runs either stack"
    for path, owner, name, value in _changed(config, (role,)):
        if (owner, name) not in APPLIED and (owner, name) not in ELSEWHERE:
            yield (
                path,
                f"{_text(value)} means nothing to profile kernel, Linux's own MPTCP; leave the key out",
            )
        elif name == "congestion" and value not in CONTROLLERS:
            yield path, f"{value} is not in Linux; profile kernel has {', '.join(CONTROLLERS)}"
        elif name == "endpoints":
            for endpoint in value:
                if Flag.PAIR in endpoint:
                    yield path, f"'{describe(endpoint)}': `pair` is no word of Linux's (profile kernel)"
        elif name == "limits" and max(value.subflows, value.add_addr_accepted) > MOST_LIMIT:
            yield path, f"Linux (profile kernel) has limits of up to {MOST_LIMIT}"


def settings_of(spec: HostSpec) -> Settings:
    config = spec.client or spec.server
    assert config is not None, "HostSpec has checked it"
    sysctls = dict(ALWAYS)
    for _, owner, name, value in _changed(config, ()):
        if (owner, name) in APPLIED:
            sysctls.update(APPLIED[owner, name](value))
    endpoints = config.paths.endpoints
    words = _usual(spec) if endpoints is None else tuple(describe(one) for one in endpoints)
    limits = config.paths.limits
    return Settings(
        sysctls, words, f"subflows {limits.subflows} add_addr_accepted {limits.add_addr_accepted}"
    )


def _usual(spec: HostSpec) -> tuple[str, ...]:
    """A server announces its further addresses. A client joins each from its own address on that way, which
    its routes choose; for an address of its own without such a partner it goes to the server's first."""
    first = spec.addresses[0]
    further = [one for one in spec.addresses[1:] if (":" in one) == (":" in first)]
    if spec.role == "server":
        return tuple(f"{address} signal" for address in further)
    partners = [one for one in spec.remote[1:] if (":" in one) == (":" in first)]
    return tuple(f"{address} subflow" for address in further[len(partners) :])


def _changed(config: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], type, str, Any]]:
    """Every field, however deep, that differs from its default: key, dataclass, field, value."""
    usual = type(config)()
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value) and (type(config), field.name) not in ELSEWHERE:
            yield from _changed(value, (*path, field.name))
        elif value != getattr(usual, field.name):
            yield (*path, field.name), type(config), field.name, value


def _memory(size: int) -> str:
    """Half of a socket's memory is the kernel's own, so that `size` bytes of payload fit."""
    return f"4096 {min(131_072, 2 * size)} {2 * size}"


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(getattr(value, "value", value))
