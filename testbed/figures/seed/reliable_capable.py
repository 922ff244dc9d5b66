"""Slide 4: MP_CAPABLE with the first data. TCP makes it reliable, and so the key.

Read first: draft-paasch-mptcp-syncookies-02 §3.1 and §3.2, RFC 8684 §3.1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from testbed.figures.sections import Material, Picture, Section
from testbed.figures.seed.ladders import ladder
from testbed.figures.seed.rates import (
    ACROSS,
    FELL_BACK,
    LOSS,
    WERE_RESET,
    Panel,
    Series,
    judged,
    largest,
    picture,
    series,
    spoken,
)
from testbed.figures.style import COLOURS, PROFILE_STYLE

ONE, TEN = 300, 14240  # bytes of a request: one segment, ten
REQUEST = "workload.request"
OURS = "v1 of ours"
REORDER = "paths.*.reorder.up"
LADDERS = (
    "draft, nothing lost",
    "draft, third ACK lost",
    "v1, third ACK lost",
    "draft, third ACK and data lost",
    "draft, third ACK and data lost, ISN from the DSS",
)


def section(material: Material) -> Section:
    profiles = {
        size: _of_profiles(material, "fallback", "fallback", where={REQUEST: size}) for size in (ONE, TEN)
    }
    resets = _of_profiles(material, "fallback", "reset", where={REQUEST: TEN}) + _isn(material, "reset")
    linux = _linux(material, "fallback", ONE) + _linux(material, "fallback", TEN)
    linux_resets = _linux(material, "reset", TEN)
    piggyback = _of_profiles(material, "piggyback", "reset", ("draft", "v1"))
    overtaken = _of_profiles(material, "overtaking", "fallback", across=REORDER)
    drawn = (
        (
            "Three profiles, one loss",
            ("fallback",),
            [
                Panel("Fallback, 1 segment", ACROSS, FELL_BACK, profiles[ONE]),
                Panel("Fallback, 10 segments", ACROSS, FELL_BACK, profiles[TEN]),
            ],
        ),
        (
            "What is left: resets when nothing arrives that brings the cookie back",
            ("fallback", "isn_recovery", "piggyback"),
            [
                Panel("Reset, 10 segments", ACROSS, WERE_RESET, resets),
                Panel("Third ACK piggybacked, 10 segments", ACROSS, WERE_RESET, piggyback),
            ],
        ),
        (
            "Linux as client and as server",
            ("linux",),
            [
                Panel("Fallback", ACROSS, FELL_BACK, linux),
                Panel("Reset", ACROSS, WERE_RESET, linux_resets),
            ],
        ),
        (
            "The first data overtakes the third ACK",
            ("overtaking",),
            [Panel("Data first, fallback", "packets held back, client to server, %", FELL_BACK, overtaken)],
        ),
    )
    pictures: list[Picture | None] = [ladder(material, case) for case in LADDERS]
    for index, (title, campaigns, panels) in enumerate(drawn):
        pictures.append(picture(f"reliable-{index}", title, panels, title, material.note(*campaigns)))
    # Ours beside Linux is judged above.
    titled = [
        (panel.title, [one for one in panel.series if not one.label.startswith(OURS)])
        for *_, panels in drawn
        for panel in panels
    ]
    numbers = judged([(title[0].lower() + title[1:], those) for title, those in titled])
    return Section(
        tuple(_shows(profiles[ONE], resets, piggyback, overtaken, linux)),
        tuple(one for one in pictures if one),
        tuple(numbers),
        left_out=material.left_out(),
    )


def _of_profiles(
    material: Material,
    campaign: str,
    verdict: str,
    profiles: Sequence[str] = ("v0", "draft", "v1"),
    across: str = LOSS,
    where: Mapping[str, Any] = MappingProxyType({}),
) -> list[Series]:
    """`where`: further factors."""
    found = []
    for profile in profiles:
        factors = {"client.profile": profile, **where}
        style = PROFILE_STYLE[profile]
        found += series(material, campaign, verdict, where=factors, label=profile, style=style, across=across)
    return found


def _isn(material: Material, verdict: str) -> list[Series]:
    """The draft's §3.2: the ISN is rebuilt from a DSS."""
    where = {"client.profile": "draft"}
    style = (COLOURS[3], "P")
    return series(
        material, "isn_recovery", verdict, where=where, label="draft, ISN from the DSS", style=style
    )


def _linux(material: Material, verdict: str, size: int) -> list[Series]:
    found = []
    words = "1 segment" if size == ONE else "10 segments"
    for case, colour in (("Linux as client", "#1b7837"), ("Linux as server", "#e69f00")):
        where = {"case": case, REQUEST: size}
        style = (colour, "v" if size == ONE else "D")
        found += series(material, "linux", verdict, where=where, label=f"{case}, {words}", style=style)
    where = {"client.profile": "v1", REQUEST: size}
    ours = (PROFILE_STYLE["v1"][0], "s" if size == ONE else "o")
    return found + series(
        material, "fallback", verdict, where=where, label=f"{OURS}, {words}", style=ours, net="mininet"
    )


def _shows(
    profiles: list[Series],
    resets: list[Series],
    piggyback: list[Series],
    overtaken: list[Series],
    linux: list[Series],
) -> list[str]:
    texts = [
        "The draft sends MP_CAPABLE with the first data as well: both keys, and the mapping of that data. "
        "Data is sent again until it is acknowledged, and the option with it, so that the key arrives "
        "whenever the connection does. RFC 8684 adopted it. The server still keeps nothing: it finds its "
        "own key again in what comes back."
    ]
    if profiles:
        texts.append(
            f"Connections that fall back at {largest(profiles)} loss, with one segment: {spoken(profiles)}. "
            "What is left of draft and v1 is the client's own doing: after three lost SYNs it tries "
            "without MP_CAPABLE."
        )
    if resets:
        texts.append(
            "One case the option cannot mend: the third ACK and the first segment are lost, and a later "
            "segment arrives. Its sequence number does not fit the cookie, and the answer is a reset: "
            f"{spoken(resets)}. So it is with plain TCP. The draft's section 3.2 rebuilds the client's "
            "initial sequence number from the DSS of that later segment: the connection begins, and both "
            "segments only have to come again. A segment tells its own place only where it begins its "
            "mapping: a client whose network card cuts large frames copies one DSS onto all pieces, and "
            "from these nothing can be rebuilt."
        )
    if piggyback:
        texts.append(
            "Where the third ACK travels with the first data, one loss is enough, for there is no other "
            f"packet that brings the cookie back. Connections that are reset at {largest(piggyback)} loss: "
            f"{spoken(piggyback)}. Before a stateless server a bare third ACK is the better choice."
        )
    if overtaken:
        texts.append(
            f"No packet needs to be lost: it is enough that the data comes first. With {largest(overtaken)} "
            f"of the packets held back for 5 ms, these fall back: {spoken(overtaken)}."
        )
    if linux:
        texts.append(f"Linux in the same lab; fallbacks at {largest(linux)} loss: {spoken(linux)}.")
    return texts
