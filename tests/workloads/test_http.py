"""HTTP/1.1: what is answered and what refused, byte by byte or all at once; the workload in virtual time."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.errors import UserError
from testbed.mptcp.config import Profile, SynCookies
from testbed.workloads import Workload
from testbed.workloads.http import LEAST_REQUEST, MOST_HEAD, MOST_REQUESTS, ClientSide, ServerSide, request
from testbed.workloads.payload import LONGEST_SLICE, RESPONSE, Headed, Payload
from testbed.workloads.serving import Http, pattern
from tests.sim.cells import ends, run_cell, why

GET = b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n"
HEAD = b"HEAD %s HTTP/1.1\r\nHost: x\r\n\r\n"
WAITS = b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
CLOSES = b"connection: close"


def respond(said: bytes, step: int = 1 << 20) -> bytes:
    """All that a service says, given so many bytes at a time, as much as it has room for."""
    http, out = Http(), b""
    while True:
        if said and http.room:
            part = min(step, http.room)
            http.feed(said[:part])
            said = said[part:]
        elif http.room:
            http.finish()
        if waiting := http.waiting()[:step]:
            out += waiting
            http.sent(len(waiting))
        elif http.finished:
            return out


def answers(out: bytes, heads_alone: bool = False) -> list[tuple[bytes, bytes, bytes]]:
    """(status, head, body) of each, cut by Content-Length."""
    found = []
    while out:
        head, _, rest = out.partition(b"\r\n\r\n")
        head = head.lower()
        length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
        body = b"" if heads_alone else rest[:length]
        found.append((head.split(b" ")[1], head, body))
        assert heads_alone or len(body) == length
        out = rest[len(body) :]
    return found


@pytest.mark.parametrize("step", [1, 7, 1000, 1 << 20])
@pytest.mark.parametrize(
    ("said", "status", "length", "closes"),
    [
        (GET % b"/", b"200", None, False),
        (GET % b"/100000", b"200", 100_000, False),
        (GET % b"/0", b"200", 0, False),
        (GET % b"/10KB", b"200", 10_000, False),
        (GET % b"/2KiB", b"200", 2048, False),
        (GET % b"http://example.org/10B", b"200", 10, False),
        (GET % b"http://example.org", b"200", None, False),
        (GET.replace(b"1.1", b"1.0") % b"/10B", b"200", 10, True),
        (GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") % b"/10B", b"200", 10, True),
        (GET.replace(b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\nabcde") % b"/10B", b"200", 10, False),
        (GET % b"/nothing", b"404", None, False),
        (GET % b"/10kB", b"404", None, False),
        (GET % b"/2GB", b"404", None, False),
        (GET % b"/-1", b"404", None, False),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabcde", b"405", None, True),
        (b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", b"405", None, True),
        (WAITS, b"417", None, True),
        (b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", b"501", None, True),
        (b"GET / HTTP/1.1\r\n\r\n", b"400", None, True),  # RFC 9112 §3.2: no Host
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", b"400", None, True),
        (b"rubbish\r\n\r\n", b"400", None, True),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"400", None, True),
        (b"x" * 20_000, b"431", None, True),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 2 * MOST_HEAD + b"\r\n\r\n", b"431", None, True),
    ],
)  # fmt: skip
def test_one_request(said: bytes, status: bytes, length: int | None, closes: bool, step: int) -> None:
    ((got, head, body),) = answers(respond(said, step))
    assert got == status
    assert length is None or (len(body) == length and pattern().matches(0, body))
    assert (CLOSES in head) == closes
    if status == b"405":
        assert b"allow: get, head" in head


def test_without_a_request_it_says_nothing() -> None:
    assert respond(b"") == b""
    assert respond(b"GET / HTTP/1.1\r\nHost: x") == b""


def test_head_says_what_get_would() -> None:
    for target in (b"/", b"/1MB", b"/nothing"):
        ((status, head, _),) = answers(respond(HEAD % target), heads_alone=True)
        assert (status, head) == answers(respond(GET % target))[0][:2]


@pytest.mark.parametrize("step", [1, 50, 1 << 20])
def test_requests_in_one_breath_are_answered_in_their_order(step: int) -> None:
    said = (
        b"".join(GET % f"/{size}".encode() for size in (10, 70_000, 0, 3)) + GET % b"/nothing" + GET % b"/4"
    )
    found = answers(respond(said, step))
    assert [len(body) for status, _, body in found if status == b"200"] == [10, 70_000, 0, 3, 4]
    assert [status for status, _, _ in found].index(b"404") == 4


def test_a_connection_has_its_last_request() -> None:
    found = answers(respond(GET % b"/1" * (MOST_REQUESTS + 5), 1000))
    assert len(found) == MOST_REQUESTS
    assert [CLOSES in head for _, head, _ in found] == [False] * (MOST_REQUESTS - 1) + [True]


def test_what_is_kept_has_a_bound() -> None:
    """A client that asks and never reads: it is not read either."""
    http = Http()
    http.feed(GET % b"/1GB" * 100)
    assert http.room == 0
    for _ in range(100):
        assert len(http.waiting()) <= LONGEST_SLICE
        http.sent(len(http.waiting()))
    assert http.room == 0


PIECES = st.lists(
    st.one_of(
        st.binary(max_size=30),
        st.sampled_from(
            [
                *(
                    GET % b"/",
                    GET % b"/20",
                    HEAD % b"/5",
                    b"GET /",
                    b" HTTP/1.1\r\n",
                    b"Host: x\r\n",
                    b"\r\n",
                ),
                *(b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"3\r\nabc\r\n", b"0\r\n\r\n"),
                *(b"Connection: close\r\n", b"Upgrade: x\r\n", b"Expect: 100-continue\r\n"),
                *(b"POST / HTTP/1.1\r\n", b"HTTP/1.1 200 OK\r\n"),
            ]
        ),
    ),
    max_size=12,
)


@given(PIECES, st.integers(1, 40))
def test_nothing_that_is_said_breaks_it(pieces: list[bytes], step: int) -> None:
    out = respond(b"".join(pieces), step)
    assert out == b"" or out.startswith(b"HTTP/1.1 ")


@given(PIECES)
def test_nothing_that_is_answered_breaks_a_client(pieces: list[bytes]) -> None:
    side = ClientSide("10.1.1.1:20080", 300, 7, 100)
    for piece in pieces:
        assert len(side.body(piece)) <= len(piece)


@pytest.mark.parametrize("size", [LEAST_REQUEST, 300, 8000])
@pytest.mark.parametrize("host", ["10.1.1.1:20080", "[fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:20080"])
def test_a_request_is_as_long_as_asked_for(size: int, host: str) -> None:
    """And asks for the body of its own connection, which the client finds in the answer."""
    said = request(host, size, 43_000, 10**9)
    assert len(said) == size
    server, client = ServerSide(), ClientSide(host, size, 5, 70_000)
    server.feed(client.request.head)
    answer = server.next_answer()
    assert answer is not None
    assert answer.connection == 5
    stream, at, body = answer.stream, 0, b""
    while at < stream.length:
        part = stream.slice(at, 1000)
        body += client.body(part)
        at += len(part)
    assert Payload(RESPONSE, 5, 70_000).matches(0, body)
    assert len(body) == 70_000
    assert not client.failed


def test_an_answer_that_is_none_fails() -> None:
    for said in (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", b"rubbish\r\n\r\n"):
        client = ClientSide("x", 300, 1, 10)
        assert client.body(said) == b""
        assert client.failed


def test_a_stream_with_a_head() -> None:
    stream = Headed(b"head", Payload(RESPONSE, 3, 100_000))
    whole = b"head" + Payload(RESPONSE, 3, 100_000).slice(0, 60_000)
    rng = random.Random(1)
    for _ in range(200):
        at, size = rng.randrange(0, 20), rng.randrange(1, 30)
        part = whole[at : at + size]
        assert stream.matches(at, part)
        assert part.startswith(stream.slice(at, size))
        assert not stream.matches(at, part[:-1] + bytes([part[-1] ^ 1]))
    assert (stream.length, Headed(b"x").length, Headed(b"x").slice(1)) == (100_004, 1, b"")
    assert not Headed(b"x").matches(0, b"xy")


@pytest.mark.parametrize("cookies", [SynCookies.OFF, SynCookies.ALWAYS])
@pytest.mark.parametrize("profile", [Profile.TCP, Profile.V0, Profile.DRAFT, Profile.V1])
def test_the_workload(profile: Profile, cookies: SynCookies) -> None:
    web = Workload("http", 300, 20_000, arrivals=20)
    outcome = run_cell(profile, cookies=cookies, workload=web, connections=8)
    assert outcome.invalid is None
    for client, server in ends(outcome):
        assert server is not None
        expected = "tcp" if profile is Profile.TCP else "mptcp"
        for row in (client, server):
            assert (row["verdict"], row["intact"]) == (expected, True), why(client, server)
        assert (client["bytes_sent"], client["bytes_received"]) == (300, 20_000)
        assert server["bytes_received"] == 300
        assert 20_000 < int(str(server["bytes_sent"])) < 20_200, "with the head"


def test_what_is_damaged_on_its_way_is_seen() -> None:
    """A byte of the body that changes, in plain TCP without any checksum of MPTCP's."""
    outcome = run_cell(
        Profile.TCP,
        overrides={"paths.1.middlebox.down": "rewrite at=2000"},
        workload=Workload("http", 300, 20_000),
    )
    ((client, server),) = ends(outcome)
    assert (client["intact"], server and server["intact"]) == (False, True)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"request": 100}, "http has requests of 128 to"),
        ({"request": 9000}, "http"),
        ({"response": 0}, "http"),
    ],
)
def test_what_the_workload_cannot_do(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        Workload("http", **fields)
