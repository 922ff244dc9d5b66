"""The few words of rtnetlink that build a lab: a node's requests go to the kernel together.

Decides how links, addresses, neighbours, routes and rules are written as messages, and how what the kernel
keeps of them is read. A refusal names the request in the caller's own words. Raw, since a lab makes a
thousand such requests and the library that the stack's programs use (pyroute2) takes a millisecond for each.
Knows nothing of plans. Read first: netlink(7), rtnetlink(7); linux/rtnetlink.h, linux/if_link.h.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

_HEADER = struct.Struct("=LHHLL")  # length, type, flags, sequence number, port
_ATTRIBUTE = struct.Struct("=HH")  # length, type
_LINK = struct.Struct("=BxHiII")  # family, type, index, flags, mask
_ADDRESS = struct.Struct("=BBBBI")  # family, prefix, flags, scope, index
_NEIGHBOUR = struct.Struct("=BxxxiHBB")  # family, index, state, flags, type
_ROUTE = struct.Struct("=BBBBBBBBI")  # family, to, from, tos, table, protocol, scope, type, flags
_RULE = struct.Struct("=BBBBBxxBI")  # family, to, from, tos, table, action, flags
_NUMBER = struct.Struct("=I")
_ERROR = struct.Struct("=i")

_REQUEST, _ACK, _DUMP, _REPLACE, _EXCL, _CREATE = 0x1, 0x4, 0x300, 0x100, 0x200, 0x400
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_F_CAPPED, _F_TEXT, _TEXT = 0x100, 0x200, 1  # of an error: no copy of the request, attributes; a sentence
_SOL_NETLINK, _CAP_ACK, _EXT_ACK = 270, 10, 11
_NEWLINK, _GETLINK, _NEWADDR, _GETADDR = 16, 18, 20, 22
_NEWROUTE, _GETROUTE, _NEWNEIGH, _GETNEIGH, _NEWRULE = 24, 26, 28, 30, 32
_UP = 1  # IFF_UP
_PERMANENT = 0x80  # NUD_PERMANENT
_STATIC, _UNICAST, _TO_TABLE = 4, 1, 1
MAIN = 254  # the routing table
_UNIVERSE, _CONNECTED = 0, 253  # RT_SCOPE_LINK
_BATCH = 64  # requests at once: their answers must fit into the socket
_BUFFER = 1 << 16


class Refused(OSError):
    """The kernel did not do as it was told; the text says what it was."""


@dataclass(frozen=True, slots=True)
class Request:
    """`what`: the setting in a user's words, for the error."""

    what: str
    kind: int
    flags: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Seen:
    """A link as the kernel has it."""

    index: int
    mac: str
    up: bool


def cable(what: str, ends: Sequence[tuple[str, str, int]]) -> Request:
    """A veth pair; of each end its name, its MAC address, and a process in whose network it is to be."""
    first, second = (
        _LINK.pack(0, 0, 0, 0, 0)
        + _text(3, name)
        + _attribute(1, _mac(mac))  # IFLA_ADDRESS
        + _attribute(19, _NUMBER.pack(pid))  # IFLA_NET_NS_PID
        for name, mac, pid in ends
    )
    data = _attribute(2, _attribute(1, second))  # IFLA_INFO_DATA: VETH_INFO_PEER
    info = _attribute(18, _text(1, "veth") + data)  # IFLA_LINKINFO: IFLA_INFO_KIND
    return Request(what, _NEWLINK, _CREATE | _EXCL, first + info)


def link(
    what: str, index: int, *, up: bool = False, mac: str | None = None, queue: int | None = None
) -> Request:
    """Changes what is named. `queue` in frames."""
    body = _LINK.pack(0, 0, index, _UP * up, _UP * up)
    if mac is not None:
        body += _attribute(1, _mac(mac))
    if queue is not None:
        body += _attribute(13, _NUMBER.pack(queue))  # IFLA_TXQLEN
    return Request(what, _NEWLINK, 0, body)


def address(what: str, index: int, text: str) -> Request:
    """`text` with its prefix length."""
    family, host, length = _network(text)
    body = _ADDRESS.pack(family, length, 0, 0, index) + _attribute(1, host)  # IFA_ADDRESS
    if family == socket.AF_INET:
        body += _attribute(2, host)  # IFA_LOCAL
    return Request(what, _NEWADDR, _CREATE | _EXCL, body)


def neighbour(what: str, index: int, text: str, mac: str) -> Request:
    family, host, _ = _network(text)
    body = _NEIGHBOUR.pack(family, index, _PERMANENT, 0, 0)
    return Request(what, _NEWNEIGH, _CREATE | _REPLACE, body + _attribute(1, host) + _attribute(2, _mac(mac)))


def route(what: str, index: int, to: str, via: str | None, table: int = MAIN) -> Request:
    """`via` None: it is on the link itself."""
    family, host, length = _network(to)
    scope = _CONNECTED if via is None else _UNIVERSE
    body = _ROUTE.pack(family, length, 0, 0, table if table < 256 else 0, _STATIC, scope, _UNICAST, 0)
    if length:
        body += _attribute(1, host)  # RTA_DST
    if via is not None:
        body += _attribute(5, _network(via)[1])  # RTA_GATEWAY
    body += _attribute(4, _NUMBER.pack(index)) + _attribute(15, _NUMBER.pack(table))  # RTA_OIF, RTA_TABLE
    return Request(what, _NEWROUTE, _CREATE | _REPLACE, body)


def rule(what: str, source: str, table: int, priority: int) -> Request:
    """Packets from this address are routed by that table."""
    family, host, length = _network(source)
    body = _RULE.pack(family, 0, length, 0, 0, _TO_TABLE, 0)
    body += _attribute(2, host) + _attribute(6, _NUMBER.pack(priority))  # FRA_SRC, FRA_PRIORITY
    return Request(what, _NEWRULE, _CREATE | _EXCL, body + _attribute(15, _NUMBER.pack(table)))


class Netlink:
    """A conversation with the kernel about the network namespace that it was opened in."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        self._socket.bind((0, 0))
        for option in (_CAP_ACK, _EXT_ACK):
            self._socket.setsockopt(_SOL_NETLINK, option, 1)
        self._number = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def tell(self, requests: Sequence[Request]) -> None:
        """All of them, in this order; Refused names the first that the kernel would not have."""
        for start in range(0, len(requests), _BATCH):
            batch = requests[start : start + _BATCH]
            first = self._number + 1
            self._send(batch, _ACK)
            refusals = []
            for number, body, flags in self._answers(self._number):
                (error,) = _ERROR.unpack_from(body)
                if error:
                    refusals.append(_refused(batch[number - first].what, -error, body, flags or 0))
            if refusals:
                raise refusals[0]

    def links(self) -> dict[str, Seen]:
        """By name."""
        found = {}
        for body in self._dump("links", _GETLINK, _LINK.pack(0, 0, 0, 0, 0)):
            _, _, index, flags, _ = _LINK.unpack_from(body)
            has = _attributes(body[_LINK.size :])
            name = has[3].rstrip(b"\0").decode()
            found[name] = Seen(index, has.get(1, b"").hex(":"), bool(flags & _UP))
        return found

    def addresses(self) -> set[tuple[int, str]]:
        """Index of the link and address with its prefix length."""
        found = set()
        for body in self._dump("addresses", _GETADDR, _ADDRESS.pack(0, 0, 0, 0, 0)):
            _, length, _, _, index = _ADDRESS.unpack_from(body)
            has = _attributes(body[_ADDRESS.size :])
            found.add((index, f"{ipaddress.ip_address(has[1])}/{length}"))
        return found

    def neighbours(self) -> set[tuple[int, str, str]]:
        """The permanent ones: index of the link, address, MAC address."""
        found = set()
        for body in self._dump("neighbours", _GETNEIGH, _NEIGHBOUR.pack(0, 0, 0, 0, 0)):
            _, index, state, _, _ = _NEIGHBOUR.unpack_from(body)
            has = _attributes(body[_NEIGHBOUR.size :])
            if state == _PERMANENT and 1 in has:  # NDA_DST
                found.add((index, str(ipaddress.ip_address(has[1])), has.get(2, b"").hex(":")))
        return found

    def way(self, source: str, to: str, arrived: int | None = None) -> int | None:
        """The index of the link by which packets leave that come from here, or in by the link `arrived`."""
        family, host, length = _network(to)
        body = _ROUTE.pack(family, length, length, 0, 0, 0, 0, 0, 0)
        body += _attribute(1, host) + _attribute(2, _network(source)[1])  # RTA_DST, RTA_SRC
        if arrived is not None:
            body += _attribute(3, _NUMBER.pack(arrived))  # RTA_IIF
        self._send([Request("", _GETROUTE, 0, body)], 0)
        for _, answer, flags in self._answers(self._number, f"the way {source} > {to}"):
            has = _attributes(answer[_ROUTE.size :]) if flags is None else {}
            return int(_NUMBER.unpack(has[4])[0]) if 4 in has else None
        return None

    def _send(self, requests: Sequence[Request], flags: int) -> None:
        pieces = []
        for request in requests:
            self._number += 1
            length = _HEADER.size + len(request.body)
            wanted = _REQUEST | flags | request.flags
            pieces += [_HEADER.pack(length, request.kind, wanted, self._number, 0), request.body]
        self._socket.send(b"".join(pieces))

    def _dump(self, what: str, kind: int, body: bytes) -> Iterator[bytes]:
        self._send([Request(what, kind, _DUMP, body)], 0)
        for _, answer, flags in self._answers(self._number, what):
            if flags is None:
                yield answer

    def _answers(self, last: int, what: str | None = None) -> Iterator[tuple[int, bytes, int | None]]:
        """Number, content and, of an acknowledgement, flags; up to the one that ends request `last`. With
        `what` a refusal raises."""
        while True:
            data = self._socket.recv(_BUFFER)
            place = 0
            while place < len(data):
                length, kind, flags, number, _ = _HEADER.unpack_from(data, place)
                body = data[place + _HEADER.size : place + length]
                place += (length + 3) & ~3
                ends = kind in (_NLMSG_ERROR, _NLMSG_DONE)
                if kind == _NLMSG_ERROR and what is not None and (error := _ERROR.unpack_from(body)[0]):
                    raise _refused(what, -error, body, flags)
                yield number, body, flags if ends else None
                if number == last and (ends or not flags & 2):  # NLM_F_MULTI: more of it follows
                    return


def _refused(what: str, error: int, body: bytes, flags: int) -> Refused:
    said = ""
    if flags & _F_TEXT:
        copied = _HEADER.size if flags & _F_CAPPED else _HEADER.unpack_from(body, 4)[0]
        said = _attributes(body[4 + copied :]).get(_TEXT, b"").rstrip(b"\0").decode(errors="replace")
    return Refused(error, f"{what}: {os.strerror(error)}" + (f" ({said})" if said else ""))


def _attribute(kind: int, data: bytes) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(data), kind) + data + bytes(-len(data) % 4)


def _text(kind: int, text: str) -> bytes:
    return _attribute(kind, text.encode() + b"\0")


def _attributes(data: bytes) -> Mapping[int, bytes]:
    found, place = {}, 0
    while place + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, place)
        if length < _ATTRIBUTE.size:
            break
        found[kind & 0x3FFF] = data[place + _ATTRIBUTE.size : place + length]  # NLA_TYPE_MASK
        place += (length + 3) & ~3
    return found


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def _network(text: str) -> tuple[int, bytes, int]:
    """Family, bytes and prefix length, which is the whole where there is none."""
    host, _, length = text.partition("/")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    packed = socket.inet_pton(family, host)
    return family, packed, int(length) if length else len(packed) * 8
