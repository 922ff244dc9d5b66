"""Words of results and packets: what each means, its RFC section, and the code and tests where it lives.

Decides the dictionary of `testbed explain`. Reasons, counters, congestion controllers and schedulers explain
themselves in testbed/mptcp, the kernel's counters in testbed/kernel_counters.py; what is added here are the
names that come from elsewhere: MPTCP options, reasons of MP_TCPRST, TCP states, the flags of endpoints, the
fields of results. Places are looked up in the source when asked, so that they cannot go stale.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import testbed
from testbed.errors import UserError
from testbed.kernel_counters import GROUPS
from testbed.link import BOXES
from testbed.link import WORDS as DROPS
from testbed.mptcp.cc import CONTROLLERS
from testbed.mptcp.counters import COUNTERS
from testbed.mptcp.reasons import Reason, Verdict
from testbed.mptcp.sched import SCHEDULERS
from testbed.shipped import checkout
from testbed.workloads import FAULTS

MOST_PLACES = 6

VERDICTS = {
    Verdict.MPTCP: ("the connection spoke MPTCP from its handshake to its end", "RFC 8684 §3.1"),
    Verdict.FALLBACK: (
        "MPTCP was asked for and the connection went on as plain TCP; fallback if either end fell back",
        "RFC 8684 §3.7",
    ),
    Verdict.RESET: ("the connection was ended by a RST", "RFC 9293 §3.10.7"),
    Verdict.HANG: ("an application waited for data until workload.timeout, and none moved", ""),
    Verdict.UNFINISHED: (
        "data still moved when the experiment's own time limit (workload.timeout) ended the connection: it "
        "says nothing about the connection, so the command ends with status 1",
        "",
    ),
    Verdict.TCP: ("plain TCP was asked for, and plain TCP it was", "RFC 9293"),
    Verdict.UNKNOWN: ("of `testbed trace`: the capture does not show how the connection went", ""),
}

PROFILES = {
    "tcp": ("plain TCP", "RFC 9293"),
    "v0": ("MPTCP version 0: the client's key goes in the SYN and the third ACK", "RFC 6824 §3.1"),
    "draft": (
        "MPTCP for stateless servers: the client's key goes with the first data as well",
        "draft-paasch-mptcp-syncookies-02 §3.1",
    ),
    "v1": ("MPTCP version 1, which took over the draft's handshake", "RFC 8684 §3.1"),
    "kernel": ("the machine's own MPTCP, at either end of an experiment in a lab", "RFC 8684"),
}

OPTIONS = {
    "MP_CAPABLE": ("begins an MPTCP connection and carries the keys", "RFC 8684 §3.1", "MpCapable"),
    "MP_JOIN": ("adds a subflow to a connection", "RFC 8684 §3.2", "MpJoin"),
    "DSS": ("maps subflow bytes to the data sequence and carries the DATA_ACK", "RFC 8684 §3.3", "Dss"),
    "ADD_ADDR": ("announces another address", "RFC 8684 §3.4.1", "AddAddr"),
    "REMOVE_ADDR": ("withdraws an address", "RFC 8684 §3.4.2", "RemoveAddr"),
    "MP_PRIO": ("makes a subflow a backup, or no longer one", "RFC 8684 §3.3.8", "MpPrio"),
    "MP_FAIL": ("reports a failed DSS checksum", "RFC 8684 §3.7", "MpFail"),
    "MP_FASTCLOSE": ("closes the whole connection abruptly", "RFC 8684 §3.5", "MpFastclose"),
    "MP_TCPRST": ("says why a subflow is reset", "RFC 8684 §3.6", "MpTcpRst"),
}

# Value of the option's reason field -> name, meaning, the other names that it goes by.
RST_REASONS = {
    0: ("unspecified", "no more is known than that the subflow is reset", ("EUNSPEC", "unspecified error")),
    1: (
        "mptcp_error",
        "an error of Multipath TCP, for example an invalid option",
        ("EMPTCP", "MPTCP specific error"),
    ),
    2: ("no_resources", "the host lacks the resources for this subflow", ("ERESOURCE", "lack of resources")),
    3: (
        "prohibited",
        "the host's policy does not allow this subflow",
        ("EPROHIBIT", "administratively prohibited"),
    ),
    4: ("too_much_outstanding_data", "too much data of this subflow is not acknowledged", ("EWQ2BIG",)),
    5: (
        "unacceptable_performance",
        "this subflow is too slow or loses too much; others remain",
        ("EBADPERF",),
    ),
    6: (
        "middlebox_interference",
        "a middlebox changes this subflow, for example it removes options or changes data",
        ("EMIDDLEBOX", "middlebox interference detected"),
    ),
}

FLAGS = {
    "subflow": ("an endpoint that a subflow is opened from", "RFC 8684 §3.2"),
    "signal": ("an endpoint that is announced to the peer with ADD_ADDR", "RFC 8684 §3.4.1"),
    "backup": (
        "an endpoint whose subflows carry data only while no regular subflow can, whatever the scheduler",
        "RFC 8684 §3.3.8",
    ),
    "fullmesh": ("an endpoint that opens a subflow to every address of the peer", ""),
    "pair": ("our own: this endpoint joins the address of the same rank that the peer announces", ""),
}

CLOSED_BY = {
    "data_fin": ("both ends closed in good order, by MPTCP's DATA_FIN", "RFC 8684 §3.3.3"),
    "fin": ("both ends closed in good order, by TCP's FIN", "RFC 9293 §3.6"),
    "fastclose": ("one end closed abruptly, by MP_FASTCLOSE", "RFC 8684 §3.5"),
    "rst": ("a RST ended it, or nobody answered any more", "RFC 9293 §3.10.7"),
    "open": ("it had not ended when the record was written", ""),
}

FIELDS = {
    "verdict": "how a connection went: a verdict",
    "reason": "why it went so: a reason",
    "profile": "how the stack spoke: a profile",
    "closed_by": "what ended a connection",
    "ended": "how a subflow ended: open (not yet), closed (in good order), or a reason",
    "fault": "why what came to a client by hand is not what was to come",
    "intact": "true where every byte that was to come has come, each with its right value",
    "interrupted": "true where Ctrl-C, or another signal, ended the program before it was done",
    "fast_open": "what became of Fast Open",
    "syn_data": "bytes that the server took from the SYN",
    "setup_ms": "from a client's SYN until it was connected, in milliseconds",
    "duration_ms": "from a client's SYN until it had all that it was to receive, or had all that it sent "
    "acknowledged, in milliseconds: the download time; empty where that never happened",
    "goodput_mbit": "bytes that reached an application, both ways, over the duration, in Mbit/s",
    "served": "connections that ended well, every byte that was to come has come",
    "second_path": "connections that had a second subflow",
    "server_half_open_peak": "the most connections in SYN-RECEIVED that the server held at once",
    "server_connections_peak": "the most connections that the server held at once, half-open ones included",
    "server_memory_mb": "the most memory (VmHWM) of the server's process since it was ready, in megabytes",
    "server_memory_growth_mb": "by how much that is more than what it held when it was ready",
    "traffic_mbit": "goodput of all competing hosts together while the measured clients ran",
    "rival_mbit": "goodput of one competing host in that time, on average",
    "rival_ratio": "goodput of a measured connection over that of a competing host: 1 is a fair share",
    "syns_per_second": "SYNs of all flooding hosts together, as they really went",
    "synacks_per_syn": "SYN/ACKs back at flooding hosts for each SYN: above 1 where a server repeats them",
}

FAST_OPEN = {
    "none": "not asked for, avoided after failures, or no room for the option",
    "cookie": "the SYN asked for a cookie",
    "no_data": "there was a cookie and nothing to send with it",
    "accepted": "the server took the data of the SYN",
    "refused": "the server did not take the data of the SYN, so that it went again",
    "lost": "no answer to that SYN: it went again without option and data",
}

STATES = {
    "CLOSED": "no connection",
    "LISTEN": "waiting for SYNs",
    "SYN_SENT": "a SYN is out and unanswered",
    "SYN_RECEIVED": "a SYN came and was answered; the third ACK is awaited",
    "ESTABLISHED": "data may flow both ways",
    "FIN_WAIT_1": "closed here, the FIN not acknowledged yet",
    "FIN_WAIT_2": "closed here and acknowledged; the peer's FIN is awaited",
    "CLOSE_WAIT": "the peer has closed, this side has not",
    "CLOSING": "both closed at once, the own FIN not acknowledged yet",
    "LAST_ACK": "the peer closed first; the acknowledgement of the own FIN is awaited",
    "TIME_WAIT": "done, waiting for stray segments to die",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A word explained. `aliases`: other names of the same; `group`: nstat's prefix of a kernel counter.
    `files` and `tests` are "path:line", relative to the repository."""

    name: str
    kind: str
    meaning: str
    section: str
    aliases: tuple[str, ...] = ()
    group: str = ""
    files: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()

    def goes_by(self, plain: str) -> bool:
        return plain in map(_plain, (self.name, *self.aliases))


def known() -> dict[str, list[str]]:
    """Return every name that can be explained, by kind."""
    found: dict[str, list[str]] = {}
    for entry in _entries():
        found.setdefault(entry.kind, []).append(entry.name)
    return found


def explain(word: str) -> list[Entry]:
    """Everything that goes by this name, whatever its case, or is of this kind: "schedulers" lists them.
    Where the name is a field of results, its words follow.

    UserError names what is near.
    """
    wanted = _plain(word)
    found = [entry for entry in _entries() if wanted and entry.goes_by(wanted)]
    found = found or [entry for entry in _entries() if _plain(entry.group) == wanted and wanted]
    if any(entry.name == "MP_TCPRST" for entry in found):
        found += [entry for entry in _entries() if entry.kind == "RST reason"]
    if wanted and all(entry.kind == "field" for entry in found):
        found += [
            entry
            for entry in _entries()
            if wanted in (_plain(f"{entry.kind}s"), _plain(f"{entry.kind}es"), _plain(entry.kind))
        ]
    if not found:
        names = [name for entry in _entries() for name in (entry.name, *entry.aliases)]
        plain = {_plain(name): name for name in names}
        near = [plain[close] for close in difflib.get_close_matches(wanted, plain, n=3, cutoff=0.5)]
        near += [name for name in names if wanted and wanted in _plain(name) and name not in near]
        hint = (
            f"did you mean {', '.join(near[:5])}?" if near else "`testbed explain` without a word lists them"
        )
        raise UserError(f"explain: unknown word {word!r}; {hint}")
    return [_placed(entry) for entry in found]


def _plain(word: str) -> str:
    return re.sub(r"[^a-z0-9]", "", word.lower().removeprefix("reason."))


def _entries() -> Iterator[Entry]:
    for reason in Reason:
        yield Entry(reason.value, "reason", reason.meaning, reason.section)
    for verdict, (meaning, section) in VERDICTS.items():
        yield Entry(verdict.value, "verdict", meaning, section)
    for profile, (meaning, section) in PROFILES.items():
        yield Entry(profile, "profile", meaning, section)
    for option, (meaning, section, _) in OPTIONS.items():
        yield Entry(option, "option", meaning, section)
    for value, (name, meaning, aliases) in RST_REASONS.items():
        others = (
            f"MP_TCPRST {value}",
            f"RST reason {value}",
            f"MPTCP_RST_{aliases[0]}",
            *aliases,
            str(value),
        )
        yield Entry(name, "RST reason", f"reason {value} of MP_TCPRST: {meaning}", "RFC 8684 §3.6", others)
    for counter, meaning in COUNTERS.items():
        yield Entry(counter, "counter", meaning, "", _nstat_names(counter))
    for prefix, group in GROUPS.items():
        for counter, meaning in group.items():
            names = (f"{prefix}{counter}",)
            yield Entry(counter, "kernel counter", f"Linux, {prefix}: {meaning}", "", names, prefix)
    for state, meaning in STATES.items():
        yield Entry(state, "TCP state", meaning, "RFC 9293 §3.3.2")
    for name, controller in CONTROLLERS.items():
        yield Entry(name, "controller", controller.meaning, controller.source)
    for name, scheduler in SCHEDULERS.items():
        yield Entry(name, "scheduler", scheduler.meaning, scheduler.source)
    for name, box in BOXES.items():
        words = "; ".join(f"{key}= {one.meaning}" for key, one in box.keys.items())
        yield Entry(name, "middlebox", f"{box.meaning}. {words}".strip(" ."), "")
    for name, (meaning, section) in FLAGS.items():
        yield Entry(name, "endpoint flag", meaning, section)
    for name, meaning in DROPS.items():
        yield Entry(name, "drop", f"exact drop: {meaning}", "")
    for name, (meaning, section) in CLOSED_BY.items():
        yield Entry(name, "closed_by", meaning, section)
    for name, meaning in FAULTS.items():
        yield Entry(name, "fault", meaning, "")
    for name, meaning in FAST_OPEN.items():
        yield Entry(name, "fast_open", meaning, "RFC 7413 §4.2")
    for name, meaning in FIELDS.items():
        yield Entry(name, "field", meaning, "")


def _nstat_names(counter: str) -> tuple[str, ...]:
    """What nstat calls the kernel's counter of the same name."""
    return tuple(f"{prefix}{counter}" for prefix, group in GROUPS.items() if counter in group)


def _placed(entry: Entry) -> Entry:
    pattern = {
        "RST reason": r"\bMpTcpRst\b",
        "kernel counter": rf"[\"']{entry.name}[\"']",
        "reason": rf"Reason\.{entry.name.upper()}\b|[\"']{entry.name}[\"']",
        "verdict": rf"Verdict\.{entry.name.upper()}\b",
        "profile": rf"Profile\.{entry.name.upper()}\b",
        "option": rf"\bclass {OPTIONS[entry.name][2]}\w*|\b{OPTIONS[entry.name][2]}\w*\("
        if entry.kind == "option"
        else "",
        "counter": rf"[\"']{entry.name}[\"']",
        "TCP state": rf"State\.{entry.name}\b",
        "controller": _class(CONTROLLERS, entry.name),
        "scheduler": _class(SCHEDULERS, entry.name),
        "middlebox": _class(BOXES, entry.name),
        "endpoint flag": rf"Flag\.{entry.name.upper()}\b",
        "fast_open": rf"FastOpenOutcome\.{entry.name.upper()}\b",
        "closed_by": rf"closed_by.*[\"']{entry.name}[\"']",
        "drop": rf"^    [\"']{entry.name}[\"']:|drop\w*=\(?[\"']{entry.name}\b",
        "fault": rf"[\"']{entry.name}[\"']",
        "field": rf"[\"']{entry.name}[\"']:",
    }[entry.kind]
    words = {entry.name, entry.name.upper()}  # a file without any of them is not searched
    words |= {OPTIONS[entry.name][2]} if entry.kind == "option" else set()
    words |= {"MpTcpRst"} if entry.kind == "RST reason" else set()
    words |= {table[entry.name].__name__ for table in _TABLES if entry.name in table}
    found = re.compile(pattern, re.MULTILINE)
    package = Path(testbed.__file__).resolve().parent
    code = _places(package, found, package.parent, words)
    root = checkout()  # an installed package has no tests beside it, or those of another project
    tests = _places(root / "tests", found, root, words) if root else ()
    return replace(entry, files=code, tests=tests)


_TABLES: tuple[Mapping[str, type], ...] = (CONTROLLERS, SCHEDULERS, BOXES)


def _class(table: Mapping[str, type], name: str) -> str:
    return rf"\bclass {table[name].__name__}\b|[\"']{name}[\"']" if name in table else ""


def _places(folder: Path, pattern: re.Pattern[str], root: Path, words: Collection[str]) -> tuple[str, ...]:
    """The first line of every file where the pattern is found; the protocol's own files first."""
    found = []
    for file, text in _texts(folder):
        if any(word in text for word in words) and (match := pattern.search(text)):
            found.append(f"{file.relative_to(root)}:{text.count(chr(10), 0, match.start()) + 1}")
    found.sort(key=lambda place: "/mptcp/" not in place)
    return tuple(found[:MOST_PLACES])


@functools.cache
def _texts(folder: Path) -> list[tuple[Path, str]]:
    return [
        (file, file.read_text(encoding="utf-8"))
        for file in sorted(folder.rglob("*.py"))
        if file.name not in ("explain.py", "reasons.py", "counters.py", "kernel_counters.py")
    ]
