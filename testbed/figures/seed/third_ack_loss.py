"""Slide 2: plain TCP behind SYN cookies. Who speaks first decides whether a lost third ACK does harm.

Read first: draft-paasch-mptcp-syncookies-02 §2; RFC 4987 §3.6; testbed/model/fallback.py for the lines.
"""

from __future__ import annotations

from testbed.figures.sections import Material, Section
from testbed.figures.seed.ladders import ladder
from testbed.figures.seed.rates import (
    ACROSS,
    WERE_RESET,
    Panel,
    Series,
    judged,
    largest,
    picture,
    series,
    spoken,
)
from testbed.figures.style import COLOURS

# Bytes of the request, its name, and its colour and marker; 0: the server speaks first.
REQUESTS = (
    (0, "server first", (COLOURS[1], "s")),
    (300, "client first, 1 segment", (COLOURS[0], "o")),
    (14240, "client first, 10 segments", (COLOURS[2], "^")),
)
LADDERS = ("TCP, client first", "TCP, server first")


def section(material: Material) -> Section:
    hang, reset = (_series(material, verdict) for verdict in ("hang", "reset"))
    shows = [
        "A server that answers with SYN cookies keeps nothing of the SYN. The connection comes into "
        "being when the cookie comes back, in the third ACK, and nobody sends that ACK again: to the "
        "client the handshake is over, and the server does not know that there was one.",
        "Where the client speaks first, its first data carries the same number and the same cookie. TCP "
        "sends data until it is acknowledged, so the connection only begins later. Where the server speaks "
        "first, the client waits for a greeting from a server that knows nothing of it, until its "
        "application gives up.",
    ]
    if hang:
        shows.append(
            f"Connections that hang at {largest(hang)} loss: {spoken(hang)}. The line is the loss itself, "
            "and the few connections whose every SYN is lost for as long as the client waits."
        )
    if reset:
        shows.append(
            f"Connections that are reset: {spoken(reset)}. The third ACK and the first of several segments "
            "were lost; the second arrives with a number that does not fit the cookie. After a lost SYN the "
            "first segment goes alone, and nothing behind it can do harm."
        )
    panels = [
        Panel("Hang", ACROSS, "connections that hang", hang),
        Panel("Reset", ACROSS, WERE_RESET, reset),
    ]
    pictures = [ladder(material, case) for case in LADDERS]
    alt = "Rate of hangs and of resets of plain TCP behind SYN cookies against loss, by who speaks first"
    note = material.note("cookie_loss")
    pictures.append(picture("third-ack-loss", "Hangs and resets against loss", panels, alt, note))
    numbers = judged((("hang", hang), ("reset", reset)))
    return Section(
        tuple(shows), tuple(one for one in pictures if one), tuple(numbers), left_out=material.left_out()
    )


def _series(material: Material, verdict: str) -> list[Series]:
    found = []
    for size, words, style in REQUESTS:
        where = {"workload.request": size}
        found += series(material, "cookie_loss", verdict, where=where, label=words, style=style)
    return found
