"""Host names for `testbed client`: the first address that a route reaches, of the family of --bind."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.drive import names
from testbed.errors import UserError

HOSTS = {
    "both": ["fd00::7", "192.0.2.7"],
    "four": ["192.0.2.8", "192.0.2.9"],
    "local": ["fe80::1%lo", "192.0.2.8"],
    "far": ["198.51.100.1"],
}


@pytest.fixture(autouse=True)
def network(monkeypatch: pytest.MonkeyPatch) -> None:
    """192.0.2.8 has no route; names are those of HOSTS."""

    def look_up(host: str, port: None, family: int, kind: int) -> list[tuple[object, ...]]:
        found = [text for text in HOSTS.get(host, []) if family in (0, family_of(text))]
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(family_of(text), kind, 6, "", (text, 0)) for text in found]

    def towards(peer: str) -> str:
        if peer in ("192.0.2.8", "198.51.100.1"):
            raise UserError(f"no route to {peer} from here")
        return "192.0.2.1"

    monkeypatch.setattr(names.socket, "getaddrinfo", look_up)
    monkeypatch.setattr(names, "local_address_towards", towards)


def family_of(text: str) -> int:
    return socket.AF_INET6 if ":" in text else socket.AF_INET


def test_the_first_that_a_route_reaches() -> None:
    assert names.address_of("both") == "fd00::7"
    assert names.address_of("both", ("10.0.0.1",)) == "192.0.2.7"  # as --bind
    assert names.address_of("both", ("fd00::1", "10.0.0.1")) == "fd00::7"
    assert names.address_of("four") == "192.0.2.9"
    with pytest.raises(UserError, match=r"far: no route to any of its addresses \(198.51.100.1\)"):
        names.address_of("far")
    with pytest.raises(UserError, match="local: no route"):  # a link-local one needs an interface
        names.address_of("local")


@pytest.mark.parametrize("host", ["nowhere", "a..b", "x" * 300, "four\0", "-", "_"])
def test_a_name_without_an_address_is_said(host: str) -> None:
    with pytest.raises(UserError, match="no address for this name"):
        names.address_of(host)


@given(st.ip_addresses().map(str) | st.from_regex(r"[0-9.]{0,20}", fullmatch=True))
def test_numbers_are_never_looked_up(text: str) -> None:
    """The property: addresses, and what was meant to be one, pass through; "10.1" is not 10.0.0.1."""
    assert names.address_of(text) == text


def test_the_system_may_refuse_in_other_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(error: Exception) -> Callable[..., None]:
        def look_up(*_: object) -> None:
            raise error

        return look_up

    for error in (OSError("odd"), UnicodeError("label too long"), socket.gaierror(-3, "Temporary failure")):
        monkeypatch.setattr(names.socket, "getaddrinfo", fails(error))
        with pytest.raises(UserError, match="no address for this name"):
            names.address_of("both")
