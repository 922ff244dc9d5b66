"""What `testbed client` and `testbed server` say of a connection: a line per interval, then a summary.

Decides words, units and columns, all within 100 characters (a table whose addresses are long gets them
in lines of their own). Prints what testbed/workloads/intervals.py and testbed/drive/programs.py measured.
"""

from __future__ import annotations

import ipaddress
import textwrap
from typing import TYPE_CHECKING, Any

from testbed.cli.show import counted, table

if TYPE_CHECKING:
    from testbed.drive import Interval

WIDTH = 100
MOST_SHARES = 8  # subflows whose shares are printed

HEAD = f"{'interval, s':>15}  {'sent':>19}  {'received':>19}  {'retr':>5}  share of each subflow, %"


def ends_of(interval: Interval) -> tuple[str, str]:
    """Both ends as the results name them: they tell connections apart."""
    local, remote = (
        f"{ipaddress.ip_address(host)} {port}" for host, port in (interval.local, interval.remote)
    )
    return local, remote


def interval_line(interval: Interval) -> str:
    """Beneath HEAD. The rate of a short rest would mislead: there is none."""
    start, end = interval.start / 1e9, interval.end / 1e9
    retransmits = interval.retransmits
    sent, received = (
        f"{size(count)} {'-' if interval.short else rate(count, interval.seconds):>11}"
        for count in (interval.bytes_sent, interval.bytes_received)
    )
    return (
        f"{f'{start:.2f}-{end:.2f}':>15}  {sent:>19}  {received:>19}  {retransmits:>5}  {_shares(interval)}"
    ).rstrip()


def summary(result: dict[str, Any]) -> str:
    """A connection's end: verdict, bytes, rates, then a line for each subflow."""
    because = f" ({result['reason']})" if result["reason"] != "none" else ""
    ends = f"{result['local']} to {result['remote']}:"
    words = (
        f"{result['verdict']}{because}, profile {result['profile']}, {counted(result['subflows'], 'subflow')}"
    )
    lines = [
        f"{ends} {words}" if len(ends) + len(words) < WIDTH else f"{ends}\n{words}",
        f"sent {_both(result['bytes_sent'], result['seconds'])}, received "
        f"{_both(result['bytes_received'], result['seconds'])}, {result['seconds']:.3f} s, "
        f"{result['retransmits']} retransmitted",
    ]
    if result["fast_open"] != "none":
        taken = f", {counted(result['syn_data'], 'byte')} in the SYN" if result["syn_data"] else ""
        lines.append(f"Fast Open: {result['fast_open'].replace('_', ' ')}{taken}")
    fault = result.get("fault", "none")  # a client's; what a server gets is as it is
    if fault == "interrupted":
        lines.append(fault)
    elif not result["bytes"] and result["verdict"] in ("reset", "hang"):
        lines.append("no data went either way: does a server run there?")
    elif fault != "none":
        from testbed.workloads import FAULTS

        lines += textwrap.wrap(f"{fault.upper().replace('_', ' ')}: {FAULTS[fault]}", WIDTH)
    return "\n".join([*lines, *_subflows(result["paths"])])


def _subflows(paths: list[dict[str, Any]]) -> list[str]:
    if not paths:
        return []
    ends = [f"{_end(path, 'local')} > {_end(path, 'remote')}" for path in paths]
    head = ["flow", "addresses", "ids", "sent", "received", "share", "retr", "srtt", "end"]
    rows = [
        [
            str(path["subflow"]),
            where,
            f"{path['local_id']}/{path['remote_id']}",
            size(path["bytes_sent"]),
            size(path["bytes_received"]),
            "-" if path["share"] is None else f"{path['share']:.1%}",
            str(path["retransmits"]),
            "-" if path["srtt_ns"] is None else f"{path['srtt_ns'] / 1e6:.1f} ms",
            path["ended"] + (", backup" if path["backup"] else ""),
        ]
        for path, where in zip(paths, ends, strict=True)
    ]
    lines = table(head, rows, left=2).splitlines()
    if max(map(len, lines)) <= WIDTH:
        return lines
    del head[1]
    for row in rows:
        del row[1]
    return [
        *table(head, rows).splitlines(),
        *(f"{row[0]}: {at}" for row, at in zip(rows, ends, strict=True)),
    ]


def _end(path: dict[str, Any], side: str) -> str:
    address, port = path[f"{side}_address"], path[f"{side}_port"]
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _shares(interval: Interval) -> str:
    shares = ["-" if path.share is None else f"{100 * path.share:.0f}" for path in interval.paths]
    more = len(shares) - MOST_SHARES
    return " ".join(shares[:MOST_SHARES]) + (f" and {more} more" if more > 0 else "")


def _both(count: int, seconds: float) -> str:
    return f"{size(count)} ({rate(count, seconds)})"


def size(count: int) -> str:
    return _scaled(count, ("B", "KB", "MB", "GB", "TB"))


def rate(count: int, seconds: float) -> str:
    return _scaled(8 * count / seconds if seconds > 0 else 0.0, ("bit/s", "kbit/s", "Mbit/s", "Gbit/s"))


def _scaled(value: float, units: tuple[str, ...]) -> str:
    """Three digits."""
    for unit in units[:-1]:
        if value < 999.5:
            return f"{value:.{0 if value >= 100 or value == int(value) else 1 if value >= 10 else 2}f} {unit}"
        value /= 1000
    return f"{value:.{2 if value < 10 else 1}f} {units[-1]}"
