"""Slide 9: the request in the SYN. The server may speak before it knows the client's key.

Read first: draft-paasch-mptcp-syncookies-02 §3.1.2; RFC 8684 Appendix B with erratum 6609; RFC 7413 §4.2;
testbed/model/fast_open.py for the lines; testbed/oracle/README.md for Linux.
"""

from __future__ import annotations

from testbed.figures.sections import Material, Number, Picture, Section, Table
from testbed.figures.seed import rates, waiting
from testbed.figures.seed.ladders import ladder
from testbed.figures.seed.rates import ACROSS, FELL_BACK, Series, judged, largest, spoken
from testbed.figures.seed.waiting import Waits
from testbed.figures.style import PROFILE_STYLE
from testbed.mptcp.reasons import Verdict
from testbed.results import Results
from testbed.units import parse_time

# Campaigns.
LOST, TIME = "fast_open", "fast_open_time"
LINUX, LINUX_LOST = "fast_open_linux", "fast_open_linux_loss"
REPEAT, FAST = "client.mptcp.repeat_keys", "client.fast_open"  # factors
PROFILES = ("v0", "draft", "v1")
WITH, WITHOUT = "with Fast Open", "without"
LADDERS = (
    "TCP, Fast Open",
    "v0, Fast Open",
    "draft, Fast Open",
    "v1, Fast Open",
    "draft, Fast Open, third ACK lost",
    "draft, Fast Open, key said once",
)
NEAR = 1.0  # ms, that the simulator may be beside a round trip: the time to send a request

Pair = tuple[Waits, Waits]  # with Fast Open, and without


def section(material: Material) -> Section:
    once, repeated = _lost(material, False), _lost(material, True)
    ours = {profile: _pairs(material, TIME, "client.profile", profile) for profile in ("tcp", *PROFILES)}
    linux = {case: _pairs(material, LINUX, "case", case) for case in _cases(material)}
    pictures = [ladder(material, case) for case in LADDERS]
    kernel = rates.series(
        material, LINUX_LOST, "fallback", where={}, label="Linux as client", style=PROFILE_STYLE["kernel"]
    )
    pictures += [
        _rates(once, repeated, material.note(LOST)),
        _of_linux(kernel, material.note(LINUX_LOST)),
        _times(ours, linux, _lost_at(material), material.note(TIME, LINUX)),
    ]
    told = [("keys said once", once), ("keys repeated", repeated), ("Fast Open", kernel)]
    numbers = judged([(f"fallback, {how}", those) for how, those in told])
    for net in material.both(TIME):
        numbers += _saved(net, ours)
    return Section(
        tuple(_shows(once, repeated, ours, linux, kernel)),
        tuple(one for one in pictures if one),
        tuple(numbers),
        tuple(_table(results) for results in material.both(LINUX)),
        material.left_out(),
    )


def _lost(material: Material, repeat: bool) -> list[Series]:
    found = []
    for profile in PROFILES:
        where = {"client.profile": profile, REPEAT: repeat}
        style = PROFILE_STYLE[profile]
        found += rates.series(material, LOST, "fallback", where=where, label=profile, style=style)
    return found


def _rates(once: list[Series], repeated: list[Series], note: str) -> Picture | None:
    panels = [
        rates.Panel("Keys said once, on the third ACK", ACROSS, FELL_BACK, once),
        rates.Panel("Keys on every ACK until a DATA_ACK comes", ACROSS, FELL_BACK, repeated),
    ]
    alt = "Rate of fallback against loss with Fast Open, by profile, with the keys said once and repeated"
    return rates.picture("fast-open-lost", "What a lost key costs", panels, alt, note)


def _of_linux(kernel: list[Series], note: str) -> Picture | None:
    panel = rates.Panel("Linux as client", ACROSS, FELL_BACK, kernel)
    alt = "Rate of fallback against loss of Linux with Fast Open, to a server that waits for the key"
    return rates.picture("fast-open-linux-lost", "Linux loses Multipath TCP with its SYN", [panel], alt, note)


def _cases(material: Material) -> list[str]:
    found = {str(case): None for results in material.both(LINUX) for case in results.summary["case"]}
    return list(found)


def _pairs(material: Material, campaign: str, factor: str, value: str) -> list[Pair]:
    """One for each way of running that has both."""
    found = []
    for results in material.both(campaign):
        fast = waiting.waits(results, {factor: value, FAST: True}, WITH)
        slow = waiting.waits(results, {factor: value, FAST: False}, WITHOUT, dashed=True)
        if fast is not None and slow is not None:
            found.append((fast, slow))
    return found


def _lost_at(material: Material) -> str:
    """Of the times: the same in all of them."""
    return next((waiting.lost(results) for name in (TIME, LINUX) for results in material.both(name)), "")


def _times(ours: dict[str, list[Pair]], linux: dict[str, list[Pair]], lost: str, note: str) -> Picture | None:
    panels = [
        waiting.Panel(name, [one for pair in pairs for one in pair[::-1]])
        for name, pairs in (ours | linux).items()
        if pairs
    ]
    alt = "Share of connections that had the first byte of the response by a time, with Fast Open and without"
    return waiting.picture("fast-open-time", f"How much sooner the response begins{lost}", panels, alt, note)


def _saved(results: Results, ours: dict[str, list[Pair]]) -> list[Number]:
    """Milliseconds of a lab are those of a shared machine: only the simulator's are judged."""
    lab = results.environment.get("net") == "mininet"
    trip = 2 * parse_time(results.settings(0)["topology"]["delay"]) / 1e6
    found = []
    for profile, pairs in ours.items():
        for fast, slow in pairs:
            if fast.lab is not lab:
                continue
            saved = slow.median - fast.median
            found.append(
                Number(
                    f"median time to the first byte, {profile}, {'lab' if lab else 'simulator'}",
                    f"{fast.spoken} {WITH}, {slow.spoken} {WITHOUT}: {saved:.1f} ms saved",
                    f"a round trip, {trip:g} ms",
                    None if lab else abs(saved - trip) <= NEAR,
                )
            )
    return found


def _table(results: Results) -> Table:
    verdicts = (Verdict.MPTCP, Verdict.FALLBACK, Verdict.HANG, Verdict.RESET)
    rows = []
    for row in results.summary.to_dict("records"):
        where = {"case": row["case"], FAST: row[FAST]}
        here = waiting.waits(results, where, "")
        counted = " · ".join(f"{row[one.value]} {one.value}" for one in verdicts if row[one.value])
        spoken = here.spoken if here is not None else "-"
        rows.append((str(row["case"]), WITH if row[FAST] else WITHOUT, counted, spoken))
    head = ("Linux's Multipath TCP", "Fast Open", "connections", "first byte, median")
    return Table(head, tuple(rows), f"Linux as the peer, in a lab{waiting.lost(results)}")


def _shows(
    once: list[Series],
    repeated: list[Series],
    ours: dict[str, list[Pair]],
    linux: dict[str, list[Pair]],
    kernel: list[Series],
) -> list[str]:
    texts = [
        "With a Fast Open cookie the request travels in the SYN, and the server, which keeps state for "
        "once, may answer right behind its SYN/ACK. In RFC 6824 it knows the client's key by then: it "
        "came in the SYN. In the draft and in RFC 8684 it does not. It can map what it says, but it "
        "cannot acknowledge at the data level, for that takes the client's key: its first DSS has no "
        "DATA_ACK.",
        "So the rule of the slide: the client puts MP_CAPABLE with both keys on every ACK, beside the "
        "DATA_ACK of what it received, until it sees a DATA_ACK itself; and the server answers "
        "MP_CAPABLE on an ACK with a DATA_ACK. The two options and the timestamps fill the 40 bytes that "
        "there are.",
    ]
    if once and repeated:
        texts.append(
            "Take the rule away, let the client say its key once, on the third ACK. Connections that fall "
            f"back at {largest(once)} loss: {spoken(once)}. No data follows that could bring the key, and "
            f"the next ACK comes without it. With the rule it is {spoken(repeated)}: what is left tried "
            "three times with MP_CAPABLE and then without."
        )
    texts += [_time_words(ours)] if any(ours.values()) else []
    texts += _linux_words(linux, kernel)
    return texts


def _time_words(ours: dict[str, list[Pair]]) -> str:
    words = ", ".join(
        f"{fast.spoken} in place of {slow.spoken} ({profile})"
        for profile, pairs in ours.items()
        for fast, slow in pairs[:1]
    )
    text = (
        f"What it is for: half of the connections have the first byte of the response after {words}. One "
        "round trip is saved, in every profile alike. The steps to the right are losses: a SYN that is "
        "lost costs a second, with its data or without."
    )
    if any(fast.lab for pairs in ours.values() for fast, _ in pairs):
        text += " A lab's milliseconds are those of a shared machine: when it is busy, all come later."
    return text


def _linux_words(linux: dict[str, list[Pair]], kernel: list[Series]) -> list[str]:
    texts = []
    if any(linux.values()):
        texts.append(
            "Linux gains nothing while it stays Multipath TCP; the table below has its times. As a client "
            "it takes a mapping without a DATA_ACK for the end of Multipath TCP: a server that answers at "
            "once saves the round trip and loses MPTCP, one that waits for the key keeps it and saves "
            "nothing. As a server it takes the request from the SYN, but what the application answers "
            "before the third ACK has come stays with it until the client sends more, and this client has "
            "nothing more to say. So it was in the packets of Linux 6.18."
        )
    if kernel:
        texts.append(
            "And it loses Multipath TCP with its SYN: the data of a lost SYN goes again behind the "
            "handshake, with both keys but without a mapping, which is a fallback. To a server that waits "
            f"for the key, at {largest(kernel)} loss: {spoken(kernel)}. The line is the loss of the SYN, "
            "less the few whose every SYN is lost."
        )
    return texts
