"""Slide 3: RFC 6824 behind SYN cookies. The key comes in the third ACK, and goes with it.

Read first: draft-paasch-mptcp-syncookies-02 §2; testbed/mptcp/cookie_ack.py decides it.
"""

from __future__ import annotations

from testbed.figures.sections import Material, Section
from testbed.figures.seed.ladders import ladder
from testbed.figures.seed.rates import (
    ACROSS,
    FELL_BACK,
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


def section(material: Material) -> Section:
    fallback = _series(material, "fallback")
    reset = _series(material, "reset")
    shows = [
        "A server that answers with SYN cookies forgets the SYN, and the client's key with it. In RFC 6824 "
        "the key comes once more, in the third ACK, and no more after that: nobody sends that ACK again. "
        "When it is lost, the first data completes the handshake of TCP, without a key: the connection "
        "goes on as plain TCP, and no second path will ever join it."
    ]
    if fallback:
        shows.append(
            "So the rate of fallback is the rate of loss. Connections that fall back at "
            f"{largest(fallback)} loss: {spoken(fallback)}. With ten segments some of the connections that "
            "lost the third ACK are reset in its place: the first segment was lost as well, the second "
            "brings a number from which the cookie cannot be checked."
        )
    panels = [
        Panel("Fallback to TCP", ACROSS, FELL_BACK, fallback),
        Panel("Reset", ACROSS, WERE_RESET, reset),
    ]
    pictures = [ladder(material, "v0, nothing lost"), ladder(material, "v0, third ACK lost")]
    alt = "Rate of fallback and of resets against loss for RFC 6824 behind SYN cookies"
    note = material.note("fallback")
    pictures.append(picture("v0-fallback", "Fallback and resets against loss", panels, alt, note))
    numbers = judged((("fallback", fallback), ("reset", reset)))
    return Section(
        tuple(shows), tuple(one for one in pictures if one), tuple(numbers), left_out=material.left_out()
    )


def _series(material: Material, verdict: str) -> list[Series]:
    found = []
    styles = (PROFILE_STYLE["v0"], (COLOURS[0], "v"))
    for (size, words), style in zip(((ONE, "1 segment"), (TEN, "10 segments")), styles, strict=True):
        where = {"client.profile": "v0", "workload.request": size}
        found += series(material, "fallback", verdict, where=where, label=words, style=style)
    return found
