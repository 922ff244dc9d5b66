"""The ladder as a picture: everything once, in the words of the text, and nothing over anything else."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations, pairwise
from xml.etree import ElementTree

import pytest

from testbed.errors import UserError
from testbed.mptcp.config import SPOKEN
from testbed.mptcp.wire import ACK, RST, MpTcpRst
from testbed.trace import DRAFT_VERSION, Packet, from_segments, ladder, ladder_svg
from testbed.trace.ladder_layout import MOST, lay_out
from testbed.trace.ladder_svg import NARROWEST
from testbed.trace.rungs import Rung, ladders
from tests.fast_open import pair_of, whole, with_cookie
from tests.trace.conversation import LISTENING, MILLISECOND, Talk, Timed, join, talk
from tests.trace.test_connections import dropped_third_ack

SVG = "{http://www.w3.org/2000/svg}"
WIDTHS = [NARROWEST, 430, 860]
HOSTILE = "<script>&\"'\x1b[31m\x00\ud800\ufffe]]> " + "endless" * 1000


def fast_open(profile: str) -> list[Packet]:
    pair = with_cookie(pair_of(next(each for each in SPOKEN if each.value == profile)))
    whole(pair)
    return from_segments((each.time, each.segment, None) for each in pair.crossings)


def reset() -> list[Timed]:
    made = Talk("v1")
    made.handshake()
    made.request(b"r" * 300)
    made.say(1, 1, 301, ACK | RST, MpTcpRst(6, True))
    return made.segments


def silent(cause: str = "rate") -> list[Timed]:
    """A SYN that is lost and sent again a second later, and a whole connection."""
    made = talk("v1", ipv6=True).segments
    first = made[0]
    return [(first[0] - 1000 * MILLISECOND, first[1], cause), *made]


def arriving(profile: str, after: int) -> list[Packet]:
    """Seen on two links: many packets are under way at once."""
    return [replace(each, arrived=each.time + after) for each in from_segments(join(profile).segments)]


SOURCES: dict[str, Sequence[Timed] | Sequence[Packet]] = {
    **{f"{profile}, lost third ACK": dropped_third_ack(profile).segments for profile in ("v0", "draft")},
    **{f"{profile}, join": join(profile, checksum=True).segments for profile in ("v0", "draft", "v1")},
    **{f"{profile}, Fast Open": fast_open(profile) for profile in ("v0", "draft", "v1")},
    "IPv6, join": join("v1", ipv6=True).segments,
    "reset": reset(),
    "silence": silent(),
    "hostile": silent(HOSTILE),
    "arrivals": arriving("v1", 33 * MILLISECOND),
    "arrivals at once": arriving("v0", 1),
}
every = pytest.mark.parametrize("name", SOURCES)


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)  # trusted: made here


def of_class(root: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [each for each in root.iter() if name in each.get("class", "").split()]


def words(root: ElementTree.Element) -> str:
    return " ".join(" ".join("".join(text.itertext()) for text in root.iter(f"{SVG}text")).split())


@every
@pytest.mark.parametrize("width", WIDTHS)
def test_every_packet_once_with_all_its_words(name: str, width: int) -> None:
    (shown,) = ladders(SOURCES[name], DRAFT_VERSION)
    root = parsed(ladder_svg(SOURCES[name], width=width))
    rungs = [step for step in shown.steps if isinstance(step, Rung)]
    drawn = of_class(root, "ldr-rung")
    assert len(drawn) == len(rungs) == len(SOURCES[name])
    for rung, group in zip(rungs, drawn, strict=True):
        said = words(group).replace(" ", "")
        for phrase in (rung.flag_names, rung.numbers, *rung.option_words, rung.dropped or ""):
            assert phrase.replace(" ", "") in said, said
        crosses, tips = of_class(group, "ldr-cross"), of_class(group, "ldr-tip")
        assert (len(crosses), len(tips)) == ((1, 0) if rung.dropped else (0, 1))
        assert len(of_class(group, "ldr-line")) == 1
    foot = words(root)
    for phrase in (f"verdict {shown.verdict.value}", f"reason {shown.reason_words}", shown.closing):
        assert phrase.replace(" ", "") in foot.replace(" ", "")


@every
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_lies_over_anything_else(name: str, width: int) -> None:
    (shown,) = ladders(SOURCES[name], DRAFT_VERSION)
    picture = lay_out(shown, width)
    labels = picture.every_label
    for one, other in combinations(labels, 2):
        assert not one.box.overlaps(other.box), (one, other)
    for label in labels:
        assert label.box.left >= 0, label
        assert label.box.right <= width, label
        assert label.box.top >= 0, label
        assert label.box.bottom <= picture.height, label
    for arrow in picture.arrows:
        assert arrow.start[1] < arrow.tip[1] <= picture.bottom
        assert arrow.pieces, arrow.rung
        for (x0, y0), (x1, y1) in arrow.pieces:
            for label in labels:
                if label.box.top > y1 or label.box.bottom < y0:
                    continue
                for step in range(101):
                    x, y = x0 + (x1 - x0) * step / 100, y0 + (y1 - y0) * step / 100
                    inside = label.box.left < x < label.box.right and label.box.top < y < label.box.bottom
                    assert not inside, (arrow.rung, label)


@pytest.mark.parametrize(
    ("profile", "phrases"),
    [
        ("v0", ["MP_CAPABLE v0 key 1fdb5df3…", "MP_CAPABLE v0 keys 1fdb5df3… 29a6c869…"]),
        ("draft", ["MP_CAPABLE v2", "MP_CAPABLE v2 keys 1fdb5df3… 29a6c869… data 300"]),
        ("v1", ["MP_CAPABLE v1", "MP_CAPABLE v1 keys 1fdb5df3… 29a6c869… data 300"]),
    ],
)
def test_handshakes_are_spelled_out(profile: str, phrases: list[str]) -> None:
    said = words(parsed(ladder_svg(talk(profile).segments)))
    for phrase in (*phrases, f"MP_CAPABLE {phrases[0].split()[1]} key 29a6c869…", "SYN/ACK seq 0 ack 1"):
        assert phrase in said
    assert "MSS 1460 SACK-ok WS 7" in said


@pytest.mark.parametrize("profile", ["v0", "draft", "v1"])
def test_fast_open_is_spelled_out(profile: str) -> None:
    said = words(parsed(ladder_svg(fast_open(profile))))
    assert re.search(r"SYN seq 0:300 len 300 MP_CAPABLE .*TFO cookie [0-9a-f]{12} ", said)


def test_the_drop_the_turns_and_why() -> None:
    root = parsed(ladder_svg(dropped_third_ack("v0").segments))
    (dropped,) = of_class(root, "ldr-dropped")
    assert words(dropped) == "ACK seq 1 ack 1 MP_CAPABLE v0 keys 1fdb5df3… 29a6c869… dropped: third_ack"
    (line,) = of_class(dropped, "ldr-line")
    assert line.get("stroke-dasharray") == "2 4"
    said = words(root)
    assert "server: fallback, cookie_without_key client: fallback, no_data_ack" in said
    assert len(of_class(root, "ldr-v-fallback")) == 3  # two ends, one verdict
    assert "SYN cookie has no client key" in said
    assert "(draft-paasch-mptcp-syncookies-02 §2)" in said
    assert "client: fallback, no_data_ack (RFC 8684 §3.7)" in said


def test_subflows_differ_in_colour_dashes_and_number() -> None:
    root = parsed(ladder_svg(join("v1").segments))
    seen = {
        (number, line.get("stroke-dasharray"))
        for number in (1, 2)
        for group in of_class(root, f"ldr-s{number}")
        for line in of_class(group, "ldr-line")
    }
    assert len(seen) == 2
    for number in (1, 2):
        for group in of_class(root, "ldr-rung"):
            if f"ldr-s{number}" in group.get("class", "").split():
                assert words(group).startswith(f"[{number}] ")
    assert "[2] 10.0.2.1:40001 - 10.0.3.1:20080, join, backup" in words(root)


def test_time_is_to_scale_and_a_long_silence_is_marked() -> None:
    (shown,) = ladders(silent(), DRAFT_VERSION)
    picture = lay_out(shown, 860)
    starts = [arrow.start[1] for arrow in picture.arrows]
    assert len(picture.breaks) == 1
    assert starts[0] < picture.breaks[0] < starts[1]
    assert "1.00 s later" in [label.text for label in picture.labels]
    assert max(after - before for before, after in pairwise(starts)) <= MOST + 1
    even = [round(after - before, 1) for before, after in pairwise(starts[1:])]
    assert len(set(even)) == 1, "one packet every 5 ms"


def test_arrows_end_where_the_capture_saw_the_packet_last() -> None:
    (shown,) = ladders(arriving("v1", 5 * MILLISECOND), DRAFT_VERSION)
    arrows = lay_out(shown, 860).arrows
    for arrow, after in pairwise(arrows):  # it arrives when the next one is sent
        assert arrow.start[1] < arrow.tip[1] <= after.start[1]
    assert len({round(arrow.tip[1] - arrow.start[1]) for arrow in arrows}) <= 3
    root = parsed(ladder_svg(arriving("v1", 5 * MILLISECOND)))
    assert "arrived at 5.000 ms" in [title.text for title in root.iter(f"{SVG}title")]


def test_the_same_capture_gives_the_same_bytes() -> None:
    assert ladder_svg(join("v1").segments) == ladder_svg(from_segments(join("v1").segments))


def test_several_pictures_in_one_page_do_not_clash() -> None:
    pictures = [ladder_svg(SOURCES[name]) for name in SOURCES]
    ids: list[str] = []
    for picture in pictures:
        root = parsed(picture)
        own = root.get("class", "").split()[1]
        ids += [each.get("id", "") for each in root.iter() if each.get("id")]
        (style,) = root.iter(f"{SVG}style")
        rules = re.sub(r"@media\([^)]*\)\{(.*?\})\}", r"\1", style.text or "")
        selectors = re.findall(r"([^{}]+)\{", rules)
        assert len(selectors) > 20
        assert all(each.startswith(f".{own}") for each in selectors)
        assert all(name.startswith("ldr") for each in root.iter() for name in each.get("class", "").split())
        assert root.get("aria-labelledby", "").split() == [f"{own}-t", f"{own}-d"]
        assert re.fullmatch(r"0 0 860 \d+", root.get("viewBox", ""))
        assert "prefers-color-scheme:dark" in (style.text or "")
        assert not list(root.iter(f"{SVG}rect")), "no background"
    assert len(ids) == len(set(ids)) == 2 * len(pictures)


def luminance(colour: str) -> float:
    """WCAG 2.1, relative luminance."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_every_colour_is_readable_in_light_and_dark() -> None:
    style = ladder_svg(talk("v1").segments).partition("<style>")[2]
    colours = [re.findall(r"--ldr-\w+:[^;}]*?(#[0-9a-f]{6})", half) for half in style.split("@media", 1)]
    light, dark = ([luminance(each) for each in half] for half in colours)
    assert len(light) == len(dark) >= 13
    assert max(light) <= 1.05 / 4.5 - 0.05
    assert min(dark) >= 4.5 * (luminance("#1e1e1e") + 0.05) - 0.05


def test_hostile_words_are_words() -> None:
    svg = ladder_svg(silent(HOSTILE))
    assert "<script" not in svg
    assert "dropped: <script>&\"'�[31m���]]>" in words(parsed(svg))
    assert len(svg) < len(ladder_svg(silent())) + 1000
    text = ladder(silent(HOSTILE))
    assert "\x1b" not in text
    assert "\x00" not in text


def test_the_middle_of_a_long_connection_may_be_left_out() -> None:
    segments = talk("v1").segments
    root = parsed(ladder_svg(segments, most=4))
    assert len(of_class(root, "ldr-rung")) == 4
    assert f"… {len(segments) - 4} packets left out …" in words(root)


def another(segments: list[Timed]) -> list[Timed]:
    """The same conversation, later and from another port."""
    later = []
    for time, segment, dropped in segments:
        port = "dport" if segment.sport == LISTENING else "sport"
        moved = replace(segment, **{port: getattr(segment, port) + 10})
        later.append((time + 10_000 * MILLISECOND, moved, dropped))
    return later


@pytest.mark.parametrize("draw", [ladder, ladder_svg])
def test_one_connection_of_several(draw: Callable[..., str]) -> None:
    segments = [*talk("v0").segments, *another(talk("v1").segments)]
    both, second = draw(segments), draw(segments, connection=2)
    assert "onnection 1: v0" in both
    assert "onnection 2: v1" in both
    assert "onnection 1: v0" not in second
    assert "onnection 2: v1" in second
    for number in (0, 3):
        with pytest.raises(UserError, match=f"connection {number}: expected 1 to 2"):
            draw(segments, connection=number)
    with pytest.raises(UserError, match="connection 1: there is none"):
        draw([], connection=1)


def test_nothing_to_draw_and_no_room() -> None:
    assert ladder_svg([]) == ""
    with pytest.raises(UserError, match="width 319: a picture needs 320 px or more"):
        ladder_svg(talk("v1").segments, width=319)
