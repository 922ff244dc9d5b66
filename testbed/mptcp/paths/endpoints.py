"""Local endpoints and limits as values: what a user may ask of the path manager.

Decides which combinations make sense, defaults, and which ids endpoints get that were given none. Knows no
connection. Read first: RFC 8684 §3.4 (address ids), ip-mptcp(8).
"""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from testbed.errors import UserError

MOST = 64  # extra subflows and accepted announcements; Linux's limits end lower
LAST_ID = 255  # one octet; 0 is the address of the first subflow (RFC 8684 §3.2)


class Flag(enum.Flag):
    """`fullmesh` and `pair` say where a `subflow` endpoint goes; without either: the initial address."""

    NONE = 0
    SUBFLOW = enum.auto()  # open a subflow from it
    SIGNAL = enum.auto()  # announce it to the peer with ADD_ADDR
    BACKUP = enum.auto()  # subflows from or to it carry the B bit
    FULLMESH = enum.auto()  # a subflow from it to every address of the peer
    PAIR = enum.auto()  # ours, not Linux's: the k-th such endpoint to the k-th address the peer announced


@dataclass(frozen=True, slots=True)
class LocalEndpoint:
    """An address of this host, packed (4 or 16 bytes). `id` 0: PathsConfig gives it one."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"ser_json_bytes": "base64", "val_json_bytes": "base64"}

    address: bytes
    id: int = 0
    flags: Flag = Flag.NONE
    port: int = 0  # 0: the port of the first subflow
    dev: str = ""  # the interface that has the address, where somebody named it

    def __post_init__(self) -> None:
        if len(self.address) not in (4, 16):
            raise UserError(f"an endpoint's address has 4 or 16 bytes, not {len(self.address)}")
        if not 0 <= self.id <= LAST_ID:
            raise UserError(f"{self.text}: an endpoint's id is 1 to {LAST_ID}, not {self.id}")
        if not 0 <= self.port <= 0xFFFF:
            raise UserError(f"{self.text}: a port is 1 to 65535, not {self.port}")
        if self.port and Flag.SIGNAL not in self.flags:
            raise UserError(f"{self.text}: a port goes with signal, as in '{self.text} signal port 8080'")
        if Flag.FULLMESH in self.flags and Flag.SIGNAL in self.flags:
            raise UserError(f"{self.text}: signal and fullmesh exclude each other")
        if Flag.FULLMESH in self.flags and Flag.PAIR in self.flags:
            raise UserError(f"{self.text}: pair and fullmesh exclude each other")
        if Flag.PAIR in self.flags and Flag.SUBFLOW not in self.flags:
            raise UserError(f"{self.text}: pair goes with subflow, as in '{self.text} subflow pair'")

    @property
    def text(self) -> str:
        """The address as people write it."""
        return str(ipaddress.ip_address(self.address))

    def __contains__(self, flag: Flag) -> bool:
        return flag in self.flags


@dataclass(frozen=True, slots=True)
class Limits:
    """How many subflows besides the first, whoever opens them, and how many announcements lead to one.

    Linux begins with 2 and 0, so that nothing happens unasked; here two hosts use all of their paths.
    """

    subflows: int = 8
    add_addr_accepted: int = 8

    def __post_init__(self) -> None:
        for word, value in (("subflow", self.subflows), ("add_addr_accepted", self.add_addr_accepted)):
            if not 0 <= value <= MOST:
                raise UserError(f"limits: {word} is 0 to {MOST}, not {value}")


@dataclass(frozen=True, slots=True)
class PathsConfig:
    """`endpoints` None: all further addresses of the host, those of a client as `subflow pair`, those of a
    server as `signal`. So the i-th address of the client and the i-th of the server make the i-th path.
    """

    endpoints: tuple[LocalEndpoint, ...] | None = None
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        if self.endpoints is not None:
            object.__setattr__(self, "endpoints", numbered(self.endpoints))


def numbered(endpoints: Sequence[LocalEndpoint]) -> tuple[LocalEndpoint, ...]:
    """Each with an id, the lowest free one. UserError where an id or an address with its port is twice."""
    ids: set[int] = set()
    places: set[tuple[bytes, int]] = set()
    for endpoint in endpoints:
        if endpoint.id and endpoint.id in ids:
            raise UserError(f"{endpoint.text}: id {endpoint.id} is taken by another endpoint")
        place = endpoint.address, endpoint.port
        if place in places:
            raise UserError(f"{endpoint.text}: is an endpoint already; give all of its words at once")
        ids.add(endpoint.id)
        places.add(place)
    free = (number for number in range(1, LAST_ID + 1) if number not in ids)
    done = []
    for endpoint in endpoints:
        number = endpoint.id or next(free, 0)
        if not number:
            raise UserError(f"{endpoint.text}: there are {LAST_ID} endpoints already")
        done.append(replace(endpoint, id=number))
    return tuple(done)
