"""Slides 5 and 6 from captured handshakes of every profile: sizes as RFC 6824, RFC 8684 and the draft say."""

from __future__ import annotations

import re

import pytest

from testbed.figures.sections import Material, Section
from testbed.figures.seed import capable_with_dss, option_space
from testbed.results import Results
from tests.figures.seed.simulated import simulated


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return simulated(tmp_path_factory.mktemp("options"), "options.yaml")


@pytest.fixture(scope="module")
def combined(results: Results) -> Section:
    return capable_with_dss.section(Material({"options-sim": results}))


@pytest.fixture(scope="module")
def space(results: Results) -> Section:
    return option_space.section(Material({"options-sim": results}))


def numbers(section: Section) -> dict[str, tuple[str, bool | None]]:
    return {one.what: (one.measured, one.agrees) for one in section.numbers}


def test_both_options_apart_do_not_fit_and_the_combined_one_does(combined: Section) -> None:
    assert all(agrees for _, agrees in numbers(combined).values())
    measured = [one.measured for one in combined.numbers]
    sizes = ["20 bytes", "22 bytes", "24 bytes", "46 bytes", "does not fit", "36 bytes", "34 bytes", "fits"]
    assert measured == [*sizes, "38 bytes", "1, 1"]
    assert "46, 6 more than the 40 there are" in combined.shows[0]
    text = combined.pictures[1].svg
    assert [text.count(f">{words}<") for words in ("6 too many", "4 too many")] == [1, 1]
    assert "38 bytes, 40 with padding" in combined.shows[2]


def test_bytes_used_and_left_are_those_of_the_rfcs(space: Section) -> None:
    told = numbers(space)
    assert all(agrees for _, agrees in told.values())
    for profile in ("v0", "draft", "v1"):
        words = "bytes used, padded, left"
        syn = "31, 32, 9" if profile == "v0" else "23, 24, 17"
        assert told[f"SYN, {profile}: {words}"][0] == syn
        assert told[f"SYN/ACK, {profile}: {words}"][0] == "31, 32, 9"
        assert told[f"join SYN, {profile}: {words}"][0] == "31, 32, 9"
        assert told[f"join SYN/ACK, {profile}: {words}"][0] == "35, 36, 5"


def test_what_fits_besides(space: Section) -> None:
    table = space.tables[0]
    rows = {row[0]: dict(zip(table.head[1:], row[1:], strict=True)) for row in table.rows}
    old, new, answer, join = (
        "SYN: v0",
        "SYN: draft, v1",
        "SYN/ACK: v0, draft, v1",
        "join SYN/ACK: v0, draft, v1",
    )
    usual = rows["Fast Open, cookie of 8 (10 bytes)"]
    assert (usual[old], usual[new], usual[answer]) == ("only without timestamps", "✓ 7 left", usual[old])
    assert rows["Fast Open, request (2 bytes)"][join] == "✓ 3 left"
    assert rows["Fast Open, cookie of 14 (16 bytes)"][new] == "✓ 1 left"
    assert rows["Fast Open, cookie of 16 (18 bytes)"][new] == "only without timestamps"
    authentic = rows["TCP-AO, MAC of 12 (16 bytes)"]
    assert (authentic[old], authentic[new]) == ("only without timestamps", "✓ 1 left")
    assert rows["TCP-MD5 (18 bytes)"][join] == "✗ 13 too many"


def test_what_the_stack_did_with_cookies(space: Section) -> None:
    table = space.tables[1]
    assert table.head[1:] == (
        "cookie shortened: v0, draft, v1",
        "timestamps given up: v0",
        "timestamps given up: draft, v1",
    )
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["6 bytes"] == ("6 given, 6 back",) * 3
    assert rows["14 bytes"] == ("6 given, 6 back", "14 given, none back", "14 given, 14 back")
    assert rows["16 bytes"] == ("6 given, 6 back", "16 given, none back", "16 given, none back")


def test_pictures_follow_the_page(combined: Section, space: Section) -> None:
    """Inks are custom properties of the page, so that it can be light or dark; each has words for it."""
    for picture in (*combined.pictures, *space.pictures):
        assert picture.svg.startswith("<svg")
        assert not re.search(r"(?:fill|stroke):#", picture.svg)
        assert 'aria-label="' in picture.svg
        assert picture.alt


def test_without_the_campaign_nothing_is_drawn() -> None:
    for drawn_by in (capable_with_dss, option_space):
        section = drawn_by.section(Material({}, {"options-sim": "was interrupted"}))
        assert section.pictures == ()
        assert section.left_out == ("options-sim: was interrupted",)
