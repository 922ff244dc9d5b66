"""Host names to addresses, for `testbed client`.

Decides which of a name's addresses is used: the first that the routes reach, of the family that --bind asks
for. Numeric addresses pass through unchanged.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
import socket

from testbed.drive.addresses import local_address_towards
from testbed.errors import UserError

_NUMERIC = re.compile(r"[0-9.]*|.*:.*")  # never a name: "10.1", "fd00::x"


def address_of(host: str, bind: tuple[str, ...] = ()) -> str:
    """Return the address of `host`, a name or an address. UserError where the name has none."""
    if _NUMERIC.fullmatch(host):
        return host  # if it is wrong, the error says how an address looks
    family = socket.AF_UNSPEC
    if bind:
        family = socket.AF_INET6 if ":" in bind[0] else socket.AF_INET
    try:
        found = socket.getaddrinfo(host, None, family, socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a valid name"
        raise UserError(
            f"{host}: no address for this name ({why}); expected a host name or an address"
        ) from None
    addresses = list(dict.fromkeys(str(one[4][0]).partition("%")[0] for one in found))
    for address in addresses:
        if ipaddress.ip_address(address).is_link_local:
            continue
        with contextlib.suppress(UserError):
            local_address_towards(address)
            return address
    raise UserError(f"{host}: no route to any of its addresses ({', '.join(addresses)}); see: ip route")
