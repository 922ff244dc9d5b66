"""A connection by hand, interval by interval, and for a time: in virtual time over two paths."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from testbed.mptcp.config import SECOND, ClientConfig, Profile, ServerConfig, TcpConfig
from testbed.mptcp.endpoint import Endpoint
from testbed.workloads import PORT, packed
from testbed.workloads.host import Hosted
from testbed.workloads.intervals import Interval
from testbed.workloads.serving import Serving
from tests.workloads.by_hand import Side, by_hand


def without_gaps(intervals: list[Interval]) -> None:
    assert intervals[0].start == 0
    for one, next_ in itertools.pairwise(intervals):
        assert one.end == next_.start
        assert not one.last
    assert intervals[-1].last


def adds_up(side: Side) -> None:
    """Intervals together are the connection, and the subflows of each are its shares."""
    without_gaps(side.intervals)
    for key in ("bytes_sent", "bytes_received", "retransmits"):
        assert sum(getattr(one, key) for one in side.intervals) == side.row[key], key
        by_path: dict[int, int] = {}
        for path in itertools.chain(*(one.paths for one in side.intervals)):
            by_path[path.subflow] = by_path.get(path.subflow, 0) + getattr(path, key)
        assert by_path == {path["subflow"]: path[key] for path in side.row["paths"]}, key
    for one in side.intervals:
        shares = [path.share for path in one.paths]
        moved = sum(path.bytes_sent + path.bytes_received for path in one.paths)
        assert (
            (shares == [None] * len(shares)) if not moved else sum(filter(None, shares)) == pytest.approx(1)
        )


@pytest.mark.parametrize(("service", "send"), [("sink", None), ("source", 0), ("echo", None)])
def test_for_a_time(service: str, send: int | None) -> None:
    client, server = by_hand(service, send=send, lasts=3 * SECOND)
    for side in (client, server):
        assert (side.row["verdict"], side.row["intact"]) == ("mptcp", True)
        assert side.row["subflows"] == 2
        adds_up(side)
    assert [one.end for one in client.intervals[:3]] == [SECOND, 2 * SECOND, 3 * SECOND]
    assert client.row["bytes_sent"] == server.row["bytes_received"]
    # A source that was told to stop still says what it had begun to; the client has heard enough.
    assert client.row["bytes_received"] <= server.row["bytes_sent"]
    if service == "echo":
        assert client.row["bytes_received"] == client.row["bytes_sent"]
    # Two paths of 10 Mbit/s: in its second second a bulk transfer fills both.
    second = client.intervals[1]
    if service != "echo":
        assert 17e6 < 8 * (second.bytes_sent + second.bytes_received) < 20e6
    assert all(0.4 < (path.share or 0) < 0.6 for path in second.paths)


def test_an_end_cut_short_has_sent_what_was_acknowledged() -> None:
    """The send buffer takes a megabyte at once; at 20 Mbit/s half of it leaves in 200 ms."""
    client, server = by_hand("sink", send=10_000_000, stop_after=SECOND // 5)
    assert (client.row["verdict"], client.row["reason"], client.fault) == ("reset", "aborted", "interrupted")
    assert client.row["bytes_sent"] <= server.row["bytes_received"] < 600_000
    for side in (client, server):
        adds_up(side)


@pytest.mark.parametrize(
    ("service", "asked", "fault"),
    [
        ("echo", {"send": 1000}, "none"),
        ("sink", {"send": 1000, "receive": 1000, "patience": SECOND}, "missing"),
        ("source", {"send": 100_000}, "unasked"),
        ("source", {"send": 0, "receive": 1000}, "none"),
    ],
)
def test_why_what_came_is_not_what_was_to_come(service: str, asked: dict[str, Any], fault: str) -> None:
    client, _ = by_hand(service, **asked)
    assert client.fault == fault
    assert client.row["intact"] == (fault == "none")


@pytest.mark.parametrize(
    ("service", "asked", "checked", "unchecked"),
    [
        ("source", {"send": 100_000}, "unasked", "none"),  # more than was sent comes back
        ("echo", {"send": 1000}, "none", "none"),
        ("sink", {"send": 1000}, "none", "none"),
        ("source", {"send": 0, "receive": 1000}, "none", "none"),
        ("sink", {"send": 1000, "receive": 1000, "patience": SECOND}, "missing", "missing"),
    ],
)
def test_without_a_check_any_bytes_are_right(
    service: str, asked: dict[str, Any], checked: str, unchecked: str
) -> None:
    """Too few bytes of an explicit --receive are still missing."""
    for check, fault in ((True, checked), (False, unchecked)):
        client, _ = by_hand(service, check=check, **asked)
        assert client.fault == fault
        assert client.row["intact"] == (fault == "none")


@pytest.mark.parametrize(("check", "fault"), [(True, "damaged"), (False, "none")])
def test_changed_bytes_matter_only_where_they_are_checked(check: bool, fault: str) -> None:
    client, _ = by_hand(
        "echo",
        send=5_000,
        check=check,
        client=ClientConfig(profile=Profile.TCP),
        overrides={"paths.1.middlebox.down": "rewrite at=2000 cut=3 put=3"},
    )
    assert (client.fault, client.row["bytes_received"]) == (fault, 5_000)


@pytest.mark.parametrize("patience", [SECOND // 10, SECOND, 7 * SECOND])
@pytest.mark.parametrize("sends", [0, 5_000])
def test_a_server_ends_after_its_timeout(patience: int, sends: int) -> None:
    """A client falls silent, before or after data: the server gives up `patience` after the last event."""
    client, server = by_hand("sink", send=sends, receive=1, patience=60 * SECOND, server_patience=patience)
    app = server.host.application._application  # below the meter
    assert (app.timed_out, app.cut_off, app.done) == (True, 1, True)
    assert (server.row["verdict"], server.row["reason"]) == ("hang", "no_progress")
    assert client.row["verdict"] == "reset"
    lasted = server.row["done_ns"]
    assert patience <= lasted <= patience + SECOND // 2


@pytest.mark.parametrize("lasts", [SECOND, 3 * SECOND])
def test_a_server_does_not_time_out_while_data_moves(lasts: int) -> None:
    for service, send in (("sink", None), ("source", 0), ("echo", None)):
        client, server = by_hand(service, send=send, lasts=lasts, server_patience=SECOND // 2)
        assert not server.host.application._application.timed_out
        assert client.row["verdict"] == "mptcp"
        assert client.row["intact"]


def test_a_server_without_a_client_ends_after_its_timeout() -> None:
    server = Serving("echo", PORT, (), ServerConfig(), patience=2 * SECOND)
    host = Hosted(Endpoint(entropy=random.Random(1).randbytes, addresses=(packed("10.0.0.1"),)), server)
    host.start(SECOND)
    assert host.poll_timeout() == 3 * SECOND
    host.handle_timeout(3 * SECOND - 1)
    assert not host.done
    host.handle_timeout(3 * SECOND)
    assert (host.done, server.timed_out, server.cut_off, host.poll_timeout()) == (True, True, 0, None)


def test_a_short_rest_is_marked_and_an_idle_one_left_out() -> None:
    client, server = by_hand("sink", lasts=2 * SECOND, overrides={"paths.*.delay": "5ms"})
    for side in (client, server):
        adds_up(side)
        assert [one.short for one in side.intervals] == [
            one.last and one.end - one.start < SECOND // 10 for one in side.intervals
        ]
    client, _ = by_hand("sink", send=400_000, every=SECOND // 5, overrides={"paths.*.bw": 10})
    adds_up(client)


def test_it_stops_sending_when_the_time_is_up() -> None:
    """What is acknowledged later is what the send buffer held: 1 MiB at 20 Mbit/s."""
    client, _ = by_hand("sink", lasts=2 * SECOND)
    assert 2 * SECOND < client.row["done_ns"] < 2.8 * SECOND


def test_a_short_connection_is_one_interval() -> None:
    client, server = by_hand("echo", send=1000)
    for side in (client, server):
        (only,) = side.intervals
        assert (only.start, only.last, only.bytes_sent, only.bytes_received) == (0, True, 1000, 1000)
        adds_up(side)


def test_what_waits_in_the_send_buffer_is_no_transfer() -> None:
    """1 Mbit/s on either path: 250 kB a second leave, though the stack took a megabyte at once."""
    client, _ = by_hand("sink", overrides={"paths.*.bw": 1}, send=1_000_000)
    assert client.intervals[0].bytes_sent < 260_000
    adds_up(client)


def test_a_loss_is_counted_in_the_interval_and_on_the_subflow_where_it_was() -> None:
    # A window that the queues can hold, so that nothing else is lost.
    client, _ = by_hand(
        "sink",
        overrides={"paths.2.drop.up": "data:30"},
        server=ServerConfig(tcp=TcpConfig(receive_buffer=150_000)),
        lasts=2 * SECOND,
    )
    lossy = {path.subflow for one in client.intervals for path in one.paths if path.retransmits}
    assert lossy == {1}
    assert client.intervals[0].retransmits >= 1
    assert sum(one.retransmits for one in client.intervals[1:]) == 0


def test_silence_still_makes_intervals_and_then_ends_it() -> None:
    client, server = by_hand("echo", send=0, lasts=5 * SECOND, patience=2 * SECOND, every=SECOND // 2)
    assert (client.row["verdict"], client.row["reason"]) == ("hang", "no_progress")
    assert [one.end for one in client.intervals] == [SECOND * tick // 2 for tick in (1, 2, 3, 4)]
    assert server.row["verdict"] == "reset"
    assert {path["ended"] for path in client.row["paths"]} == {"no_progress"}
    assert {path["ended"] for path in server.row["paths"]} <= {"rst_received", "fastclose_received"}


def test_as_data() -> None:
    client, _ = by_hand("sink", lasts=SECOND)
    data = client.intervals[0].as_data()
    assert (data["start"], data["end"]) == (0.0, 1.0)
    assert data["bitrate_sent"] == 8 * client.intervals[0].bytes_sent
    assert [path["subflow"] for path in data["paths"]] == [0, 1]  # type: ignore[attr-defined]
