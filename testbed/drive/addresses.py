"""The addresses of this network namespace, and which of them the kernel would use towards a peer.

Decides the order in which addresses are offered: as the interfaces come, loopback last.
"""

from __future__ import annotations

import ipaddress
import itertools
import socket

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from testbed.errors import UserError
from testbed.mptcp.martian import can_talk

_MANY = {3: "a broadcast address", 5: "a multicast address"}  # RTN_BROADCAST, RTN_MULTICAST

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def addresses_of_host() -> tuple[str, ...]:
    """All that a peer could use. Not link-local ones, nor ::1, which Linux keeps on the loopback device."""
    found: list[Address] = []
    with IPRoute() as netlink:
        for message in netlink.get_addr():
            text = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
            if text is not None:
                address = ipaddress.ip_address(text)
                if not address.is_link_local and not (address.version == 6 and address.is_loopback):
                    found.append(address)
    return tuple(str(address) for address in sorted(found, key=lambda one: (one.is_loopback, one.version)))


def check_devices(endpoints: tuple[str, ...]) -> None:
    """`dev NAME` of an endpoint is an interface of this host; UserError where it is none."""
    known = [name for _, name in socket.if_nameindex()]
    for words in map(str.split, endpoints):
        for before, word in itertools.pairwise(words):
            if before == "dev" and word not in known:
                raise UserError(f"endpoint {' '.join(words)!r}: dev {word}: this host has {', '.join(known)}")


def check_target(peer: str) -> None:
    """UserError where the routes make `peer` no single host: a broadcast address."""
    with IPRoute() as netlink:
        try:
            route = netlink.route("get", dst=peer)[0]
        except NetlinkError:
            return  # another source may have a route
    if route["type"] in _MANY:
        raise UserError(
            f"{peer}: the address of one host is expected; from here this is {_MANY[route['type']]}"
        )


def check_ends(local: str, peer: str) -> None:
    """UserError where no TCP connection is possible between these addresses, such as from 127.0.0.1 out."""
    if not can_talk(ipaddress.ip_address(local).packed, ipaddress.ip_address(peer).packed):
        raise UserError(f"no TCP connection is possible from {local} to {peer}; give a host's address")


def local_address_towards(peer: str) -> str:
    """The source address that the routing table gives for `peer`; UserError when there is no route."""
    with IPRoute() as netlink:
        try:
            route = netlink.route("get", dst=peer)[0]
        except NetlinkError as error:
            raise UserError(f"no route to {peer} from here ({error.args[1]}); see: ip route") from None
        source = route.get_attr("RTA_PREFSRC")
    if source is None:
        raise UserError(f"no address of this host reaches {peer}; name one with --bind")
    return str(source)
