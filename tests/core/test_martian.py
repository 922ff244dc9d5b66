"""Segments whose addresses cannot be those of two hosts (RFC 9293 §3.9.2.3: MUST-57 and MUST-63)."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.drive.addresses import check_ends
from testbed.errors import UserError
from testbed.mptcp.config import ClientConfig, ServerConfig, SynCookies
from testbed.mptcp.endpoint import Endpoint
from testbed.mptcp.martian import can_talk
from testbed.mptcp.wire import ACK, FIN, RST, SYN, MpCapable, MpJoinAck, MpJoinSyn, Segment

PORT = 80


def packed(text: str) -> bytes:
    return ipaddress.ip_address(text).packed


def endpoint(cookies: SynCookies = SynCookies.OFF) -> Endpoint:
    made = Endpoint(entropy=lambda count: bytes(range(count)))
    made.listen(PORT, ServerConfig(syn_cookies=cookies))
    return made


def said(to: Endpoint, segment: Segment) -> list[Segment]:
    to.handle_segment(1_000_000_000, segment)
    answers = []
    while (answer := to.poll_transmit(1_000_000_000)) is not None:
        answers.append(answer)
    return answers


FINE = [
    ("10.0.0.1", "10.0.0.2"),
    ("127.0.0.1", "127.0.0.2"),  # loopback to loopback
    ("10.0.0.1", "10.0.0.1"),  # a host to itself, from another port
    ("1.0.0.1", "223.255.255.254"),
    ("10.0.0.1", "240.0.0.1"),
    ("fd00::1", "fd00::2"),
    ("::1", "::1"),
    ("fe80::1", "fe80::2"),
]
MARTIAN = [
    ("10.0.0.1", "224.0.0.1"),
    ("10.0.0.1", "239.255.255.255"),
    ("10.0.0.1", "255.255.255.255"),
    ("10.0.0.1", "0.0.0.0"),
    ("10.0.0.1", "0.1.2.3"),
    ("10.0.0.1", "127.0.0.1"),
    ("127.0.0.1", "10.0.0.1"),
    ("fd00::1", "ff02::1"),
    ("fd00::1", "::"),
    ("fd00::1", "::1"),
    ("fd00::1", "::ffff:10.0.0.1"),
]
SEGMENTS = [
    (SYN, ()),
    (SYN, (MpCapable(1, 1),)),
    (SYN, (MpJoinSyn(False, 1, 5, 5),)),
    (ACK, ()),
    (ACK, (MpJoinAck(bytes(20)),)),
    (FIN | ACK, ()),
    (SYN | ACK, ()),
]


@pytest.mark.parametrize("cookies", [SynCookies.OFF, SynCookies.ALWAYS])
@pytest.mark.parametrize(("flags", "options"), SEGMENTS)
@pytest.mark.parametrize(("one", "other"), MARTIAN)
def test_a_martian_gets_no_answer(
    one: str, other: str, flags: int, options: tuple[object, ...], cookies: SynCookies
) -> None:
    """As source and as destination, to a port that listens and to one that does not."""
    server = endpoint(cookies)
    for src, dst in ((one, other), (other, one)):
        for port in (PORT, 81):
            segment = Segment(packed(src), packed(dst), 4_000, port, 1, 1, flags, 1_000, options)  # type: ignore[arg-type]
            assert said(server, segment) == []
    assert server.counters["InAddrErrors"] == 4
    assert len(server) == 0


@pytest.mark.parametrize("cookies", [SynCookies.OFF, SynCookies.ALWAYS])
@pytest.mark.parametrize(("src", "dst"), FINE)
def test_hosts_are_answered(src: str, dst: str, cookies: SynCookies) -> None:
    (answer,) = said(endpoint(cookies), Segment(packed(src), packed(dst), 4_000, PORT, 1, 0, SYN, 1_000))
    assert answer.flags == SYN | ACK


@pytest.mark.parametrize("address", ["10.0.0.1", "127.0.0.1", "fd00::1", "::1"])
def test_our_own_address_and_port_as_source(address: str) -> None:
    """The "land" attack: an answer would come back to us."""
    server = endpoint()
    segment = Segment(packed(address), packed(address), PORT, PORT, 1, 0, SYN, 1_000)
    assert said(server, segment) == []
    assert said(server, Segment(packed(address), packed(address), 81, 81, 1, 1, ACK, 1_000)) == []


@pytest.mark.parametrize(("one", "other"), MARTIAN)
def test_no_connection_is_opened_to_a_martian(one: str, other: str) -> None:
    client = endpoint()
    with pytest.raises(ValueError, match="no TCP connection is possible between"):
        client.connect(0, (packed(one), 1), (packed(other), 2), ClientConfig())
    assert client.poll_transmit(0) is None


@given(
    ends=st.tuples(st.ip_addresses(v=4), st.ip_addresses(v=4))
    | st.tuples(st.ip_addresses(v=6), st.ip_addresses(v=6)),
    flags=st.sampled_from([SYN, ACK, FIN | ACK, SYN | ACK, RST, SYN | FIN, 0]),
    port=st.sampled_from([PORT, 81]),
)
def test_an_answer_goes_between_hosts_only(
    ends: tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, ...], flags: int, port: int
) -> None:
    src, dst = (one.packed for one in ends)
    for answer in said(endpoint(), Segment(src, dst, 4_000, port, 7, 9, flags, 1_000)):
        assert can_talk(answer.src, answer.dst)
        assert not ipaddress.ip_address(answer.dst).is_multicast
        assert not ipaddress.ip_address(answer.dst).is_unspecified


@pytest.mark.parametrize(("one", "other"), MARTIAN)
def test_the_command_line_says_so(one: str, other: str) -> None:
    with pytest.raises(UserError, match=f"no TCP connection is possible from {one} to {other}"):
        check_ends(one, other)


@pytest.mark.parametrize(("one", "other"), FINE)
def test_and_takes_hosts(one: str, other: str) -> None:
    check_ends(one, other)
