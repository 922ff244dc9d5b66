"""Fast Open without packets: cookies, the server's answer, the client's cache."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.mptcp.config import SECOND
from testbed.mptcp.tcp.fastopen import (
    BLACKHOLE_PAUSE,
    PAUSE,
    Answer,
    Attempt,
    CookieCache,
    CookieMint,
    judge_syn,
)
from testbed.mptcp.wire import (
    FastOpen,
    MaximumSegmentSize,
    MpCapable,
    Option,
    SackPermitted,
    Timestamps,
    WindowScale,
    encode_options,
)

SERVER, CLIENT, OTHER = bytes([10, 1, 1, 1]), bytes([10, 0, 1, 1]), bytes([10, 0, 2, 1])
SERVER6 = bytes(15) + b"\x01"
COOKIE = bytes(range(8))
PLAIN: tuple[Option, ...] = (
    MaximumSegmentSize(1460),
    SackPermitted(),
    Timestamps(1, 0),
    WindowScale(7),
)  # 19 bytes
V1 = MpCapable(1, 1)
V0 = MpCapable(0, 1, 7)

lengths = st.sampled_from([4, 6, 8, 10, 12, 14, 16])
addresses = st.one_of(st.binary(min_size=4, max_size=4), st.binary(min_size=16, max_size=16))


# -- the server ---------------------------------------------------------------------------------------------


@given(lengths, addresses, st.binary(min_size=1, max_size=32))
def test_a_cookie_comes_back_to_its_owner_only(length: int, client: bytes, secret: bytes) -> None:
    mint = CookieMint(secret, length)
    cookie = mint.make(client)
    assert cookie is not None
    assert len(cookie) == length
    assert mint.generation(client, cookie) == 0
    assert CookieMint(secret, length).generation(client, cookie) == 0
    assert mint.generation(bytes([client[0] ^ 1]) + client[1:], cookie) is None
    assert mint.generation(client, bytes([cookie[0] ^ 1]) + cookie[1:]) is None
    assert CookieMint(b"another" + secret[:20], length).generation(client, cookie) is None


def test_two_generations_of_the_secret_count() -> None:
    mint = CookieMint(b"first")
    cookie = mint.make(CLIENT)
    assert cookie is not None
    mint.rotate(b"second")
    assert mint.make(CLIENT) != cookie
    assert mint.generation(CLIENT, cookie) == 1
    mint.rotate(b"third")
    assert mint.generation(CLIENT, cookie) is None


def test_a_cookie_is_shortened_to_the_room_there_is_but_never_to_nothing() -> None:
    mint = CookieMint(b"secret", 16)
    for room, length in ((18, 16), (16, 16), (15, 14), (9, 8), (7, 6), (6, 6)):
        cookie = mint.make(CLIENT, room)
        assert cookie is not None
        assert len(cookie) == length
        assert mint.generation(CLIENT, cookie) == 0
    assert mint.make(CLIENT, 5) is None
    full = mint.make(CLIENT)
    assert full is not None
    assert mint.generation(CLIENT, full[:4]) is None  # never given out
    assert mint.generation(CLIENT, full[:7]) is None
    assert mint.generation(CLIENT, full + b"\x00\x00") is None
    assert mint.generation(CLIENT, b"") is None


def test_the_shortest_cookie_where_it_is_asked_for() -> None:
    mint = CookieMint(b"secret", 4)
    cookie = mint.make(CLIENT, 4)
    assert cookie is not None
    assert mint.generation(CLIENT, cookie) == 0


@pytest.mark.parametrize("length", [0, 2, 3, 5, 17, 18])
def test_no_cookie_has_another_length(length: int) -> None:
    with pytest.raises(ValueError, match="even length of 4 to 16"):
        CookieMint(b"secret", length)


def test_what_a_server_answers() -> None:
    mint = CookieMint(b"first")
    old = mint.make(CLIENT)
    mint.rotate(b"second")
    good = mint.make(CLIENT)
    assert old is not None
    assert good is not None
    table: list[tuple[FastOpen | None, int, Answer]] = [
        (None, 0, Answer()),
        (FastOpen(), 0, Answer(give=True, counter="TCPFastOpenCookieReqd")),
        (FastOpen(), 9, Answer(give=True, counter="TCPFastOpenCookieReqd")),
        (FastOpen(good), 1, Answer(accept=True, counter="TCPFastOpenPassive")),
        (FastOpen(good), 2, Answer(counter="TCPFastOpenListenOverflow")),
        (FastOpen(old), 0, Answer(True, True, "TCPFastOpenPassive")),
        (FastOpen(bytes(8)), 0, Answer(give=True, counter="TCPFastOpenPassiveFail")),
    ]
    for option, pending, answer in table:
        assert judge_syn(mint, CLIENT, option, pending, 2) == answer, option
    assert judge_syn(mint, OTHER, FastOpen(good), 0, 2).accept is False


# -- the client ---------------------------------------------------------------------------------------------


def attempt(cache: CookieCache, now: int = 0, port: int = 80, *extra: Option) -> Attempt:
    return cache.attempt(now, SERVER, port, (*PLAIN, *extra), 1460)


def with_cookie(mss: int | None = 1460, cookie: bytes = COOKIE) -> CookieCache:
    cache = CookieCache()
    cache.learned(SERVER, cookie, mss)
    return cache


def test_first_a_request_then_the_cookie_on_any_port() -> None:
    cache = CookieCache()
    assert attempt(cache) == Attempt(FastOpen())
    cache.learned(SERVER, COOKIE, 1400)
    assert attempt(cache) == Attempt(FastOpen(COOKIE), 1400 - 32)  # 19 + 10 bytes of options, padded
    assert attempt(cache, 0, 443) == attempt(cache)
    assert cache.attempt(0, OTHER, 80, PLAIN, 1460) == Attempt(FastOpen())


@pytest.mark.parametrize(
    ("server", "cached", "ours", "most"),
    [
        (SERVER, None, 1460, 536),
        (SERVER6, None, 1440, 1240),
        (SERVER6, None, 1000, 1000),
        (SERVER, 1400, 1460, 1400),
        (SERVER, 9000, 1460, 1460),
        (SERVER, 30, 1460, 32),
    ],
)
def test_how_much_a_syn_may_carry(server: bytes, cached: int | None, ours: int, most: int) -> None:
    cache = CookieCache()
    cache.learned(server, COOKIE, cached)
    assert cache.attempt(0, server, 80, PLAIN, ours).room == most - 32


@pytest.mark.parametrize(
    ("capable", "length", "fits"),
    [(V1, 8, True), (V1, 14, True), (V1, 16, False), (V0, 6, True), (V0, 8, False), (None, 16, True)],
)
def test_no_room_for_the_cookie_means_an_ordinary_handshake(
    capable: MpCapable | None, length: int, fits: bool
) -> None:
    """19 bytes are there always; MP_CAPABLE takes 4 in v1 and 12 in v0."""
    extra = (capable,) if capable is not None else ()
    tried = attempt(with_cookie(cookie=bytes(length)), 0, 80, *extra)
    assert tried == (Attempt(FastOpen(bytes(length)), tried.room) if fits else Attempt())
    if tried.option is not None:
        encode_options((*PLAIN, *extra, tried.option))  # raises when it is too much


def test_a_refusal_keeps_away_from_that_port_for_longer_each_time() -> None:
    cache = with_cookie()
    now = 0
    for doubling in (1, 2, 4, 8):
        assert attempt(cache, now).option == FastOpen(COOKIE)
        cache.refused(now, SERVER, 80)
        assert attempt(cache, now + PAUSE * doubling - 1) == Attempt()
        assert attempt(cache, now, 443).option == FastOpen(COOKIE)
        now += PAUSE * doubling
    cache.worked(now, SERVER, 80)
    cache.refused(now, SERVER, 80)
    assert attempt(cache, now + PAUSE).option == FastOpen(COOKIE)  # as if it were the first


def test_a_refusal_with_a_fresh_cookie_is_tried_again() -> None:
    cache = with_cookie()
    cache.learned(SERVER, bytes(8), 1460)
    cache.refused(0, SERVER, 80, bytes(8))
    assert attempt(cache).option == FastOpen(bytes(8))


def test_the_pause_stops_growing() -> None:
    cache = with_cookie()
    now = 0
    for _ in range(50):
        cache.refused(now, SERVER, 80)
        now += PAUSE << 6
        assert attempt(cache, now).option is not None


def test_two_lost_syns_in_a_row_keep_away_one_does_not() -> None:
    cache = with_cookie()
    cache.lost(0, SERVER)
    assert attempt(cache, 1).option is not None
    cache.worked(1, SERVER, 80)
    cache.lost(SECOND, SERVER)
    assert attempt(cache, SECOND).option is not None
    cache.lost(SECOND, SERVER)
    assert attempt(cache, SECOND) == Attempt()
    assert attempt(cache, SECOND + 4 * PAUSE - 1, 443) == Attempt()
    assert attempt(cache, SECOND + 4 * PAUSE).option is not None
    cache.lost(SECOND + 4 * PAUSE, SERVER)
    assert attempt(cache, SECOND + 11 * PAUSE) == Attempt()


def test_a_blackhole_stops_all_and_longer_each_time() -> None:
    cache = with_cookie()
    cache.blackhole(0)
    cache.blackhole(1)  # another connection of the same minute
    assert cache.attempt(1, OTHER, 80, PLAIN, 1460) == Attempt()
    assert attempt(cache, BLACKHOLE_PAUSE - 1) == Attempt()
    assert attempt(cache, BLACKHOLE_PAUSE).option is not None
    cache.blackhole(BLACKHOLE_PAUSE)
    assert attempt(cache, 3 * BLACKHOLE_PAUSE - 1) == Attempt()
    assert attempt(cache, 3 * BLACKHOLE_PAUSE).option is not None
    cache.worked(3 * BLACKHOLE_PAUSE, SERVER, 80)
    cache.blackhole(3 * BLACKHOLE_PAUSE)
    assert attempt(cache, 4 * BLACKHOLE_PAUSE).option is not None


def test_the_cache_forgets_the_oldest() -> None:
    cache = CookieCache(most=3)
    for number in range(5):
        address = bytes([10, 1, 1, number])
        cache.learned(address, COOKIE, 1460)
        cache.refused(0, address, 80)
    first, last = bytes([10, 1, 1, 0]), bytes([10, 1, 1, 4])
    assert cache.attempt(0, first, 80, PLAIN, 1460) == Attempt(FastOpen())
    assert cache.attempt(0, last, 80, PLAIN, 1460) == Attempt()
    assert cache.attempt(0, last, 81, PLAIN, 1460).option == FastOpen(COOKIE)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["learned", "worked", "refused", "lost", "blackhole"]),
            st.integers(0, 3),
            st.integers(0, 200),
        ),
        max_size=60,
    )
)
def test_no_history_keeps_away_for_ever(history: list[tuple[str, int, int]]) -> None:
    cache, now = CookieCache(), 0
    for what, server, seconds in history:
        now += seconds * SECOND
        address = bytes([10, 1, 1, server])
        {
            "learned": lambda: cache.learned(address, COOKIE, 1460),  # noqa: B023
            "worked": lambda: cache.worked(now, address, 80),  # noqa: B023
            "refused": lambda: cache.refused(now, address, 80),  # noqa: B023
            "lost": lambda: cache.lost(now, address),  # noqa: B023
            "blackhole": lambda: cache.blackhole(now),  # noqa: B023
        }[what]()
    for server in range(4):
        later = now + (BLACKHOLE_PAUSE << 6)
        tried = cache.attempt(later, bytes([10, 1, 1, server]), 80, PLAIN, 1460)
        assert tried.option is not None
        assert tried.room <= 1460
