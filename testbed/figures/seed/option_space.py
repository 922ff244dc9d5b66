"""Slide 6, "Gaining option space in the SYN": how the 40 bytes are spent, and what else would fit.

Decides which segments of the campaign "options" are drawn, and what is tried beside their options: encoded
options of Fast Open, TCP-AO and TCP-MD5. What the stack itself did with Fast Open cookies of each length is
read from the same packets. Read first: RFC 8684 §3.1, §3.2 and Appendix B; RFC 7413 §4.1.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from testbed.figures.sections import Material, Number, Picture, Section, Table
from testbed.figures.seed.captured import Flow, flows_of, option, packets_of
from testbed.figures.seed.option_bars import Bar, bars, fits, left, padding, room_left, sizes
from testbed.figures.seed.panel import beside
from testbed.mptcp.wire import MAX_OPTION_BYTES, FastOpen, Option, Segment, Timestamps, UnknownOption
from testbed.results import Results

CAMPAIGN = "options-sim"
AS_THEY_ARE = "as they are"
SHORTEN, NO_TIMESTAMPS = "shorten", "no_timestamps"
PROFILES = ("v0", "draft", "v1")
COOKIES = (4, 6, 8, 10, 12, 14, 16)  # RFC 7413 §4.1.1
# What might stand in a SYN besides.
BESIDE: dict[str, Option] = {
    "Fast Open, request": FastOpen(),
    **{f"Fast Open, cookie of {size}": FastOpen(bytes(size)) for size in COOKIES},
    "TCP-AO, MAC of 12": UnknownOption(29, bytes(14)),  # RFC 5925 §2.2
    "TCP-MD5": UnknownOption(19, bytes(16)),  # RFC 2385 §3
}
SHOWN = ("Fast Open, cookie of 8", "Fast Open, cookie of 14", "TCP-AO, MAC of 12", "TCP-MD5")
PLAIN = (
    4 + 2 + 3 + 10
)  # MSS, SACK-permitted, window scale, timestamps: RFC 9293 §3.2, RFC 2018 §2, RFC 7323 §2-3
# RFC 6824 §3.1 and RFC 8684 §3.1-§3.2: bytes of the MPTCP option.
MPTCP_BYTES = {
    "SYN": {"v0": 12, "draft": 4, "v1": 4},
    "SYN/ACK": {"v0": 12, "draft": 12, "v1": 12},
    "join SYN": {"v0": 12, "draft": 12, "v1": 12},
    "join SYN/ACK": {"v0": 16, "draft": 16, "v1": 16},
}


@dataclass(frozen=True, slots=True)
class Header:
    """The options of one kind of segment; `profiles` are those that send just these."""

    kind: str
    profiles: tuple[str, ...]
    options: tuple[Option, ...]

    @property
    def label(self) -> str:
        return f"{self.kind}: {', '.join(self.profiles)}"

    @property
    def joins(self) -> bool:
        return self.kind.startswith("join")

    def without_timestamps(self) -> tuple[Option, ...]:
        return tuple(one for one in self.options if not isinstance(one, Timestamps))


@dataclass(frozen=True, slots=True)
class Cookie:
    """What became of a cookie: bytes that the SYN/ACK gave, and those that came back in a SYN with data."""

    given: int
    used: int


def section(material: Material) -> Section:
    results = material.results.get(CAMPAIGN)
    if results is None:
        return Section((), left_out=material.left_out())
    headers = list(_headers(results))
    first = [Bar(one.label, one.options) for one in headers if not one.joins]
    joins = [Bar(one.label, one.options) for one in headers if one.joins]
    syns = [one for one in headers if one.kind == "SYN" and one.profiles != ("tcp",)]
    tried = {
        f"SYN: {', '.join(syn.profiles)}": [Bar(name, (*syn.options, BESIDE[name])) for name in SHOWN]
        for syn in syns
    }
    cookies = {
        (profile, space, size): _cookie(results, profile, space, size)
        for profile in PROFILES
        for space in (SHORTEN, NO_TIMESTAMPS)
        for size in COOKIES
    }
    handshakes = [one for one in headers if one.kind in MPTCP_BYTES and one.profiles != ("tcp",)]
    return Section(
        _said(syns, headers, cookies),
        (
            _picture(
                "The 40 bytes of TCP options in each segment of the handshakes",
                {"first subflow": first, "further subflows": joins},
            ),
            _picture("What else fits into the SYN", tried),
        ),
        (*_numbers(handshakes), *_cookie_numbers(syns, cookies)),
        (_fits_table(handshakes), _cookie_table(cookies)),
        material.left_out(),
    )


def _headers(results: Results) -> Iterator[Header]:
    """In the order of the handshakes; profiles with equally large options share one."""
    found: dict[str, dict[tuple[tuple[str, int], ...], list[tuple[str, Segment]]]] = {}
    for profile in ("tcp", *PROFILES):
        for kind, segment in _segments(_flows(results, profile, SHORTEN, AS_THEY_ARE)):
            names = (type(one).__name__ for one in segment.options)
            if profile == "tcp" and kind not in MPTCP_BYTES:
                continue  # timestamps and nothing else
            key = tuple(zip(names, sizes(segment.options), strict=True))
            found.setdefault(kind, {}).setdefault(key, []).append((profile, segment))
    for kind, groups in found.items():
        for members in groups.values():
            yield Header(kind, tuple(profile for profile, _ in members), members[0][1].options)


def _segments(flows: Sequence[Flow]) -> Iterator[tuple[str, Segment]]:
    """The first handshake of each sort, and the first data behind it."""
    for joins in (False, True):
        flow = next((one for one in flows if one.joins == joins), None)
        if flow is None:
            continue
        before = "join " if joins else ""
        kinds = {"SYN": flow.syn, "SYN/ACK": flow.synack, "third ACK": flow.third_ack}
        if not joins:
            kinds["first data"] = flow.first_data
        for kind, segment in kinds.items():
            if segment is not None:
                yield before + kind, segment


def _flows(results: Results, profile: str, space: str, case: str) -> list[Flow]:
    factors = {"case": case, "client.profile": profile, "server.fast_open_space": space}
    return flows_of(packets_of(results, factors))


def _cookie(results: Results, profile: str, space: str, size: int) -> Cookie:
    flows = _flows(results, profile, space, f"Fast Open, cookie {size}")
    first, second = (one for one in flows if not one.joins)
    given, used = option(first.synack, FastOpen), option(second.syn, FastOpen)
    carried = used is not None and second.syn.payload
    return Cookie(len(given.cookie) if given else 0, len(used.cookie) if used and carried else 0)


def _picture(title: str, panels: Mapping[str, Sequence[Bar]]) -> Picture:
    said = [f"{row.label}: {room_left(row.options)}" for rows in panels.values() for row in rows]
    across = max(MAX_OPTION_BYTES, *(sum(sizes(row.options)) for rows in panels.values() for row in rows))
    drawn = [
        bars(name, rows, "; ".join(f"{row.label}: {room_left(row.options)}" for row in rows), most=across)
        for name, rows in panels.items()
    ]
    return Picture(title, beside(drawn), "; ".join(said))


def _largest(options: Sequence[Option]) -> int:
    """Bytes of the longest Fast Open cookie that fits beside these options; 0: none does."""
    return max((size for size in COOKIES if fits((*options, FastOpen(bytes(size))))), default=0)


def _does_fit(name: str, header: Header) -> str:
    return "fits" if fits((*header.options, BESIDE[name])) else "does not fit"


def _said(
    syns: Sequence[Header], headers: Sequence[Header], cookies: Mapping[tuple[str, str, int], Cookie]
) -> tuple[str, ...]:
    by_profile = {profile: one for one in syns for profile in one.profiles}
    old, new = by_profile["v0"], by_profile["draft"]
    synack = next(one for one in headers if one.kind == "SYN/ACK" and "v1" in one.profiles)
    gained = left(new.options) - left(old.options)
    largest = {
        (profile, space): max(cookies[profile, space, size].used for size in COOKIES)
        for profile in PROFILES
        for space in (SHORTEN, NO_TIMESTAMPS)
    }
    return (
        f"Without the client's key the SYN's MP_CAPABLE shrinks by {gained} bytes: {left(new.options)} of 40 "
        f"are left in the draft and in v1, {left(old.options)} in v0. Every bar is a segment that our "
        f"endpoints sent.",
        f"Beside timestamps v0's SYN has room for a Fast Open cookie of {_largest(old.options)} bytes at "
        f"most, and the usual one has 8; the draft's and v1's takes up to {_largest(new.options)}. TCP-AO "
        f"{_does_fit('TCP-AO, MAC of 12', old)} in v0's SYN and {_does_fit('TCP-AO, MAC of 12', new)} in "
        f"theirs. The SYN/ACK still carries the server's key and gained nothing: "
        f"{left(synack.options)} bytes are left, a cookie of {_largest(synack.options)}.",
        f"So the cookie is limited by the SYN/ACK that hands it out. Our server shortens it, and the largest "
        f"one that came back with data in the SYN had {largest['v1', SHORTEN]} bytes in every profile. Where "
        f"the SYN/ACK gives up its timestamps instead, as Linux does, v0's SYN can return "
        f"{largest['v0', NO_TIMESTAMPS]} bytes, the draft's and v1's {largest['v1', NO_TIMESTAMPS]}.",
    )


def _fits_table(headers: Sequence[Header]) -> Table:
    rows = []
    for name, more in BESIDE.items():
        cells = []
        for one in headers:
            whole, bare = (*one.options, more), (*one.without_timestamps(), more)
            if not fits(whole) and fits(bare):
                cells.append("only without timestamps")
            else:
                cells.append(f"{'✓' if fits(whole) else '✗'} {room_left(whole)}")
        rows.append((f"{name} ({sizes([more])[0]} bytes)", *cells))
    head = ("one option more", *(one.label for one in headers))
    return Table(head, tuple(rows), "What fits besides, in bytes")


def _cookie_table(cookies: Mapping[tuple[str, str, int], Cookie]) -> Table:
    """Profiles that did the same share a column."""
    columns: dict[tuple[str, tuple[Cookie, ...]], list[str]] = {}
    for space in (SHORTEN, NO_TIMESTAMPS):
        for profile in PROFILES:
            column = tuple(cookies[profile, space, size] for size in COOKIES)
            columns.setdefault((space, column), []).append(profile)
    words = {SHORTEN: "cookie shortened", NO_TIMESTAMPS: "timestamps given up"}
    head = (f"{words[space]}: {', '.join(profiles)}" for (space, _), profiles in columns.items())
    rows = (
        (f"{size} bytes", *(_what_became(column[index]) for _, column in columns))
        for index, size in enumerate(COOKIES)
    )
    title = "Fast Open cookies: what our server gave, and what came back in a SYN with data"
    return Table(("asked of the server", *head), tuple(rows), title)


def _what_became(cookie: Cookie) -> str:
    return f"{cookie.given} given, {cookie.used or 'none'} back"


def _numbers(headers: Sequence[Header]) -> Iterator[Number]:
    for one in headers:
        for profile in one.profiles:
            used = sum(sizes(one.options))
            whole = used + padding(one.options)
            expected = PLAIN + MPTCP_BYTES[one.kind][profile]
            padded = -(-expected // 4) * 4
            yield Number(
                f"{one.kind}, {profile}: bytes used, padded, left",
                f"{used}, {whole}, {left(one.options)}",
                f"{expected}, {padded}, {MAX_OPTION_BYTES - expected}",
                (used, whole, left(one.options)) == (expected, padded, MAX_OPTION_BYTES - expected),
            )


def _cookie_numbers(
    syns: Sequence[Header], cookies: Mapping[tuple[str, str, int], Cookie]
) -> Iterator[Number]:
    for one in syns:
        for profile in one.profiles:
            room = MAX_OPTION_BYTES - PLAIN - MPTCP_BYTES["SYN"][profile] - 2
            expected = min(16, room // 2 * 2)
            measured = _largest(one.options)
            sent = max(cookies[profile, NO_TIMESTAMPS, size].used for size in COOKIES)
            yield Number(
                f"{profile}: largest cookie beside timestamps in the SYN, fits and was sent",
                f"{measured}, {sent} bytes",
                f"{expected} bytes",
                measured == sent == expected,
            )
