"""Slide 8, "Inclusion into RFC 6824bis": feature by feature, the draft against v1, and v1 against Linux.

Decides the rows: what is looked at, in which captured connection, and what is to be seen there.
Draft and v1 are our stack in the simulator (campaign "features"), Linux is in a lab with our v1 as its peer
("features_linux"). Read first: draft-paasch-mptcp-syncookies-02 §3; RFC 8684 §3; sightings.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from testbed.figures.sections import Material, Number, Section, Table
from testbed.figures.seed import sightings
from testbed.figures.seed.captured import captures_of, flows_of, packets_of
from testbed.figures.seed.sightings import Look, Seen
from testbed.results import Results

OURS, LINUX = "features-sim", "features_linux-mininet"
NOT_TRIED, NO_SUCH = "not tried here", "has no such switch"


@dataclass(frozen=True, slots=True)
class Feature:
    """`cases` are rows of features.yaml for the draft and for v1; `linux` is one of features_linux.yaml, None
    where Linux has no word for it. `draft` and `v1`: what the documents expect, `said` where."""

    what: str
    look: Look
    cases: tuple[str, str]
    linux: str | None
    draft: str
    v1: str
    said: str


def _row(
    what: str, look: Look, case: str, linux: str | None, draft: str, v1: str | None = None, *, said: str
) -> Feature:
    return Feature(what, look, (case, case), linux, draft, draft if v1 is None else v1, said)


PLAIN = "nothing special"
FEATURES = (
    _row(
        "MP_CAPABLE in the SYN",
        sightings.syn_option,
        PLAIN,
        "client, gives up at last",
        "4 bytes, no key",
        said="draft §3.1.1; RFC 8684 §3.1",
    ),
    _row(
        "third ACK",
        sightings.third_ack,
        PLAIN,
        "client, gives up at last",
        "MP_CAPABLE of 20 bytes",
        said="draft §3.1.1; RFC 8684 §3.1",
    ),
    _row(
        "first data",
        sightings.first_data,
        PLAIN,
        "client, gives up at last",
        "MP_CAPABLE of 22 bytes",
        said="draft §3.1.1; RFC 8684 §3.1",
    ),
    _row(
        "first data, with checksum",
        sightings.first_data,
        "checksums",
        "client, checksums",
        "MP_CAPABLE of 24 bytes",
        said="draft §3.1.1; RFC 8684 §3.1",
    ),
    _row(
        "data as the third packet",
        sightings.piggyback,
        "piggyback",
        None,
        "MP_CAPABLE of 22 bytes, mptcp",
        said="draft §3.1.1; RFC 8684 §3.1",
    ),
    _row(
        "third ACK lost, the server keeps no state",
        sightings.verdict,
        "third ACK lost",
        "server, third ACK lost",
        "mptcp",
        said="draft §2; RFC 8684 §3.1",
    ),
    _row(
        "third ACK lost, server with state speaks first: keys before a DATA_ACK",
        sightings.keys_again,
        "server first, with state",
        "client, server first, with state",
        "2 of 2 ACKs",
        said="draft §3.1.5; RFC 8684 §3.1",
    ),
    _row(
        "server's data before the keys have come: keys on ACKs until a DATA_ACK",
        sightings.keys_on_all,
        "Fast Open",
        "client, Fast Open, early answer",
        "all",
        said="draft §3.1.2; RFC 8684 §2.1 allows it",
    ),
    _row(
        "server's data before the keys have come, mapped without a DATA_ACK",
        sightings.verdict,
        "Fast Open",
        "client, Fast Open, early answer",
        "mptcp",
        said="draft §3.1.2; RFC 8684 App. B, erratum 6609",
    ),
    _row(
        "data in the SYN",
        sightings.data_in_syn,
        "Fast Open",
        "server, Fast Open",
        "300 bytes taken, DATA_ACK at IDSN + 1",
        said="left open in the draft; RFC 8684 App. B",
    ),
    _row(
        "answer to the third ACK",
        sightings.fourth_packet,
        PLAIN,
        "server, refuses joins",
        "ACK with DATA_ACK",
        "nothing",
        said="draft §3.1.1; not demanded by RFC 8684",
    ),
    _row(
        "SYNs without an answer",
        sightings.syns_with_option,
        "three SYNs lost",
        "client, three SYNs lost",
        "3 of 4 SYNs, then fallback",
        said="a choice: RFC 8684 §3.9.3",
    ),
    _row(
        "third ACK and first of two segments lost, no state",
        sightings.verdict,
        "third ACK and data lost",
        "server, third ACK and data lost",
        "reset",
        said="draft §2: as plain TCP",
    ),
    Feature(
        "third ACK and first of two segments lost, ISN rebuilt from the DSS",
        sightings.verdict,
        ("the same, ISN from DSS", "the same, a v1 server"),
        None,
        "mptcp",
        "reset",
        "draft §3.2; not in RFC 8684",
    ),
    _row(
        "version nibble",
        sightings.version,
        PLAIN,
        "client, gives up at last",
        "2",
        "1",
        said="draft §3.1.3 leaves it open; RFC 8684 §3.1",
    ),
    _row(
        "hash behind token, IDSN and HMACs",
        sightings.hash_of_keys,
        PLAIN,
        "client, gives up at last",
        "SHA-1",
        "SHA-256",
        said="RFC 6824 §3.1; RFC 8684 §3.1",
    ),
    _row(
        "flag C: no joins to this address",
        sightings.flag_c,
        "no joins to this address",
        "server, refuses joins",
        "not set",
        "set",
        said="RFC 8684 §3.1",
    ),
    _row(
        "a join is refused",
        sightings.refused_join,
        "joins refused",
        "server, refuses joins",
        "RST to the SYN, no reason",
        "RST to the SYN, MP_TCPRST, reason 3",
        said="RFC 6824 §3.2; RFC 8684 §3.2, §3.6",
    ),
    _row(
        "fast close",
        sightings.fast_close,
        "client gives up",
        "client, gives up at last",
        "on an ACK",
        "on a RST",
        said="RFC 6824 §3.5; RFC 8684 §3.5",
    ),
    _row(
        "ADD_ADDR",
        sightings.announcement,
        PLAIN,
        "client, gives up at last",
        "8 bytes, no HMAC, no echo",
        "16 bytes, HMAC, echoed",
        said="RFC 6824 §3.4.1; RFC 8684 §3.4.1",
    ),
)


@dataclass(frozen=True, slots=True)
class Row:
    """What was seen. `linux` None: Linux was not there, or its run did not count."""

    feature: Feature
    draft: str
    v1: str
    linux: str | None

    @property
    def compared(self) -> bool:
        return self.linux is not None and self.feature.linux is not None

    @property
    def linux_words(self) -> str:
        if self.feature.linux is None:
            return NO_SUCH
        return self.linux or NOT_TRIED


def section(material: Material) -> Section:
    ours, linux = (material.results.get(name) for name in (OURS, LINUX))
    if ours is None:
        return Section((), left_out=material.left_out())
    rows = [_seen(feature, ours, linux) for feature in FEATURES]
    same = [row for row in rows if row.draft == row.v1]
    other = [row for row in rows if row.draft != row.v1]
    return Section(
        _said(rows, same, other),
        (),
        _numbers(rows),
        (
            _table("The same in the draft and in v1", same),
            _table("Changed, added or left out", other),
        ),
        material.left_out(),
    )


def _seen(feature: Feature, ours: Results, linux: Results | None) -> Row:
    draft, v1 = (
        feature.look(_connection(ours, {"case": case, "client.profile": profile}))
        for case, profile in zip(feature.cases, ("draft", "v1"), strict=True)
    )
    there = None
    if linux is not None and feature.linux is not None and captures_of(linux, {"case": feature.linux}):
        there = feature.look(_connection(linux, {"case": feature.linux}))
    return Row(feature, draft, v1, there)


def _connection(results: Results, factors: dict[str, str]) -> Seen:
    table = results.connections
    for key, value in factors.items():
        table = table[table[key].astype(str) == value]
    return Seen(flows_of(packets_of(results, factors)), str(table["verdict"].iloc[-1]))


def _table(title: str, rows: list[Row]) -> Table:
    cells = []
    for row in rows:
        differs = row.compared and row.linux != row.v1
        linux = f"≠ {row.linux_words}" if differs else row.linux_words
        cells.append((row.feature.what, row.draft, row.v1, linux, row.feature.said))
    return Table(("feature", "draft", "v1", "Linux", "where it is said"), tuple(cells), title)


def _said(rows: list[Row], same: list[Row], other: list[Row]) -> tuple[str, ...]:
    texts = [
        f"RFC 6824bis, which became RFC 8684, took the draft's handshake over. Of {len(rows)} things looked "
        f"at, {len(same)} are the same in both, {len(other)} are not. Every cell was read from the packets "
        f"of a connection that was captured for it.",
    ]
    compared = [row for row in rows if row.compared]
    if compared:
        odd = [row for row in compared if row.linux != row.v1]
        words = "; ".join(f"{row.feature.what}: {row.linux}" for row in odd)
        texts.append(
            f"Linux, with our v1 as its peer, does as our v1 does in {len(compared) - len(odd)} of "
            f"{len(compared)}" + (f". It differs here: {words}." if odd else ".")
        )
    return tuple(texts)


def _numbers(rows: list[Row]) -> tuple[Number, ...]:
    numbers = []
    for name in ("draft", "v1"):
        wrong = [row.feature.what for row in rows if getattr(row, name) != getattr(row.feature, name)]
        measured = f"{len(rows) - len(wrong)} of {len(rows)}" + (
            f"; not: {', '.join(wrong)}" if wrong else ""
        )
        numbers.append(Number(f"{name}: features as the documents say", measured, "all", not wrong))
    compared = [row for row in rows if row.compared]
    if compared:
        alike = sum(row.linux == row.v1 for row in compared)
        numbers.append(Number("Linux: features as in our v1", f"{alike} of {len(compared)}"))
    return tuple(numbers)
