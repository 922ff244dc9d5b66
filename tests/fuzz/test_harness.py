"""The fuzz finds what it looks for: a fault planted in the stack is found, named, replayed, made smaller."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.mptcp import events
from testbed.mptcp.endpoint import Endpoint
from testbed.mptcp.reasons import Reason
from testbed.mptcp.wire import ACK, PSH, Segment, Timestamps
from tests.fuzz import command
from tests.fuzz.campaign import Result, Tally, at_least, run_case
from tests.fuzz.case import Case, draw, without
from tests.fuzz.faults import FAULTS, Kind, Parcel, merged
from tests.fuzz.play import Failure, play
from tests.fuzz.shrink import replay_command, shrink

ROOT = Path(__file__).parents[2]
MANY = range(20)


def quiet(seed: int) -> Case:
    """A case in which both ends say something, over a network without faults."""
    case = without(draw(seed), frozenset({*FAULTS, "churn", "outages", "pauses", "abort", "crowd"}))
    near, far = case.applications
    return replace(case, applications=(replace(near, size=3_000, close="sent"), replace(far, size=3_000)))


def wrong_byte(plain: Callable[..., bytes]) -> Callable[..., bytes]:
    def receive(self: Endpoint, *words: Any, **more: Any) -> bytes:
        data = plain(self, *words, **more)
        return data[:-1] + bytes((data[-1] ^ 1,)) if data else data

    return receive


def missing_byte(plain: Callable[..., bytes]) -> Callable[..., bytes]:
    def receive(self: Endpoint, *words: Any, **more: Any) -> bytes:
        data = plain(self, *words, **more)
        return data[:-1] if len(data) > 1 else data

    return receive


def raising(plain: Callable[..., Any]) -> Callable[..., Any]:
    def handle(self: Endpoint, now: int, segment: Segment) -> None:
        if segment.payload:
            raise ZeroDivisionError("planted")
        plain(self, now, segment)

    return handle


def deaf(plain: Callable[..., Any]) -> Callable[..., Any]:
    """Timers never expire and no payload arrives: nothing goes on."""

    def handle(self: Endpoint, now: int, segment: Segment) -> None:
        if not segment.payload:
            plain(self, now, segment)

    return handle


def late_event(plain: Callable[..., Any]) -> Callable[..., Any]:
    def poll(self: Endpoint) -> Any:
        event = plain(self)
        if isinstance(event, events.Closed):
            self._context.events.append(events.SubflowClosed(event.connection, 1, Reason.NONE))
        return event

    return poll


def without_end(plain: Callable[..., Any]) -> Callable[..., Any]:
    def poll(self: Endpoint, now: int) -> Segment | None:
        segment = plain(self, now)
        if segment is not None and segment.payload:
            self._context.outbox.append(replace(segment))
        return segment

    return poll


def forgetful(plain: Callable[..., Any]) -> Callable[..., Any]:
    """A token stays in its table."""

    def handle(self: Endpoint, now: int, segment: Segment) -> None:
        plain(self, now, segment)
        self._context.tokens[7] = 7

    return handle


@pytest.mark.parametrize(
    ("verb", "plant", "kinds"),
    [
        ("receive", wrong_byte, {"bytes"}),
        ("receive", missing_byte, {"bytes", "incomplete"}),
        ("handle_segment", raising, {"exception"}),
        ("handle_segment", deaf, {"error", "hang"}),
        ("handle_segment", forgetful, {"leftover"}),
        ("poll_event", late_event, {"events"}),
        ("poll_transmit", without_end, {"livelock"}),
    ],
)
def test_a_planted_fault_is_found(
    monkeypatch: pytest.MonkeyPatch, verb: str, plant: Callable[..., Any], kinds: set[str]
) -> None:
    monkeypatch.setattr(Endpoint, verb, plant(getattr(Endpoint, verb)))
    for seed in range(3):
        failure = play(quiet(seed)).failure
        assert failure is not None, seed
        assert failure.kind in kinds, failure


def test_a_case_follows_from_its_seed() -> None:
    for seed in (3, 14, 15):
        assert draw(seed) == draw(seed)
        assert play(draw(seed), ladder=True).ladder == play(draw(seed), ladder=True).ladder
    assert len({str(draw(seed)) for seed in MANY}) == len(MANY)


def test_only_the_named_hits_act() -> None:
    found = 0
    for seed in MANY:
        hits = play(draw(seed)).hits
        if len(set(hits)) < 2:
            continue
        chosen = frozenset(hits[:1])
        assert set(play(draw(seed), chosen).hits) <= chosen
        assert play(draw(seed), frozenset()).hits == []
        found += 1
    assert found > 3


def test_a_failing_case_becomes_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault strikes only where a packet was cut: one hit is left, and the command replays it."""
    plain = Endpoint.handle_segment

    def handle(self: Endpoint, now: int, segment: Segment) -> None:
        if 0 < len(segment.payload) < 100 and segment.flags == ACK and not segment.flags & PSH:
            raise ZeroDivisionError("planted")
        plain(self, now, segment)

    monkeypatch.setattr(Endpoint, "handle_segment", handle)
    seed = next(
        seed
        for seed in range(1_000)
        if any(one.name == "split" and one.rate > 0.1 for one in draw(seed).faults)
        and len(draw(seed).faults) > 1
        and play(draw(seed)).failure is not None
        and play(without(draw(seed), frozenset({"split"}))).failure is None
    )
    smaller = shrink(seed)
    assert smaller is not None
    assert smaller.only is not None
    assert [name for name, _, _ in smaller.only] == ["split"]
    assert smaller.outcome.failure is not None
    words = replay_command(seed, smaller.names, smaller.only).split("'")[1].split()
    assert command.main(words) == 1


def test_what_passes_is_not_made_smaller() -> None:
    assert play(quiet(1)).failure is None
    assert shrink(1, frozenset({*FAULTS, "churn", "outages", "pauses", "abort", "crowd"})) is None


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_a_fault_does_what_its_kind_says(name: str) -> None:
    """NETWORK leaves header, options and the bytes at each sequence number as they were; OPTIONS changes
    options alone."""
    fault = FAULTS[name]
    payload = random.Random(1).randbytes(300)
    stamps = Timestamps(1, 2)
    for seed in range(30):
        segment = Segment(
            b"\n\0\1\1", b"\n\1\1\1", 40_000, 20_080, 0xFFFF_FF00, 7, ACK, 100, (stamps,), payload
        )
        for parcel in fault.act(random.Random(seed), Parcel(segment), {}):
            one = parcel.segment
            if fault.kind is Kind.CONTENT:
                continue
            at = (one.seq - segment.seq) & 0xFFFF_FFFF
            assert one.payload == payload[at : at + len(one.payload)]
            assert (one.src, one.dst, one.sport, one.dport, one.ack) == (
                segment.src,
                segment.dst,
                segment.sport,
                segment.dport,
                segment.ack,
            )
            if fault.kind is Kind.NETWORK:
                assert one.options == segment.options


@given(st.binary(min_size=1, max_size=50), st.binary(min_size=1, max_size=50), st.integers(0, 0xFFFF_FFFF))
def test_only_neighbours_with_equal_options_are_joined(a: bytes, b: bytes, seq: int) -> None:
    first = Segment(b"\n\0\1\1", b"\n\1\1\1", 1, 2, seq, 7, ACK, 100, (Timestamps(1, 2),), a)
    second = replace(first, seq=(seq + len(a)) & 0xFFFF_FFFF, payload=b)
    joined = merged(first, second, Kind.NETWORK)
    assert joined is not None
    assert joined.payload == a + b
    assert merged(second, first, Kind.NETWORK) is None
    other = replace(second, options=(Timestamps(1, 3),))
    assert merged(first, other, Kind.NETWORK) is None
    assert merged(first, other, Kind.OPTIONS) is not None


def _result(label: str, end: str, failure: Failure | None = None) -> Result:
    return Result(1, Kind.OPTIONS, frozenset({label}), end, "", 10, 0, False, failure)


def test_a_share_above_its_bound_is_reported() -> None:
    tally = Tally()
    for _ in range(100):
        tally.add(_result("shuffle", "error"))
    assert [line.split(":")[0] for line in tally.too_high()] == ["shuffle"]
    assert "100.00" in tally.table()


def test_one_error_is_one_too_many_where_the_bound_is_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(command.campaign.__globals__["BOUNDS"], "shuffle", 0.0)
    tally = Tally()
    for end in ("clean", "fallback", "error"):
        tally.add(_result("shuffle", end))
    assert tally.too_high()


@pytest.mark.parametrize(
    ("errors", "count", "share", "expected"),
    [
        (0, 5, 0.1, 1.0),
        (1, 1, 0.25, 0.25),
        (1, 2, 0.5, 0.75),
        (2, 2, 0.5, 0.25),
        (1, 9, 0.0, 0.0),
        (900, 100_000, 0.01, 0.9994),
    ],
)
def test_chance_of_that_many_errors(errors: int, count: int, share: float, expected: float) -> None:
    assert at_least(errors, count, share) == pytest.approx(expected, abs=1e-3)


def test_failures_are_counted_apart() -> None:
    tally = Tally()
    tally.add(_result("shuffle", "", Failure("bytes", "planted")))
    assert len(tally.failures) == 1
    assert not tally.ends


def test_result_of_a_case_is_its_outcomes() -> None:
    outcome, result = play(draw(4)), run_case(4)
    assert (outcome.packets, outcome.end, outcome.acted) == (result.packets, result.end, result.acted)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--packets", "0"], "at least 1"),
        (["--packets", "many"], "whole number"),
        (["--seed", "-1"], "whole number"),
        (["--replay", "1", "--without", "rain"], "unknown name 'rain'"),
        (["--replay", "1", "--only", "drop/left/3"], "drop/up/3"),
        (["--rate", "1"], "unrecognized"),
    ],
)
def test_wrong_arguments_are_named(
    words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        command.main(words)
    assert caught.value.code == 2
    assert complaint in capsys.readouterr().err


def test_command_line_says_how_to_run_the_same_again(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-P",
            str(ROOT / "scripts" / "fuzz.py"),
            "--cases",
            "20",
            "--seed",
            "1",
            "--jobs",
            "2",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "make fuzz ARGS='--seed 1" in done.stdout
    assert "packets/s" in done.stdout


def test_replay_prints_the_ladder(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--replay", "4"]) == 0
    shown = capsys.readouterr().out
    assert "client -> server" in shown
    assert "make fuzz ARGS='--replay 4'" in shown
