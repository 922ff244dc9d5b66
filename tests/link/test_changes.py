"""Schedules: a change acts on the packets that arrive from its time on, and on no others."""

from __future__ import annotations

import dataclasses
import itertools
import json

from hypothesis import given
from hypothesis import strategies as st

from testbed.link import Change, LinkParams, params_from_plain
from testbed.mptcp.wire import SYN
from tests.link.packets import Frame, direction, up

MS = 1_000_000


def test_a_path_dies_and_comes_back() -> None:
    link = direction(changes=(Change(3 * MS, (("loss", 1.0),)), Change(5 * MS, (("loss", 0.0),))))
    passed = [at for at in (0, 3 * MS - 1, 3 * MS, 5 * MS - 1, 5 * MS) if link.offer(at, Frame())]
    assert passed == [0, 3 * MS - 1, 5 * MS]


def test_changes_count_from_the_beginning_of_the_run() -> None:
    link = direction(changes=(Change(3 * MS, (("loss", 1.0),)),))
    link.start(100 * MS)
    assert link.offer(50 * MS, Frame())
    assert link.offer(103 * MS - 1, Frame())
    assert not link.offer(103 * MS, Frame())


def test_what_is_queued_keeps_its_time_and_nothing_overtakes_it() -> None:
    link = direction(rate=10_000_000, delay=20 * MS, changes=(Change(MS, (("rate", None), ("delay", 0))),))
    assert [link.offer(0, Frame(1250))[0][0] // MS for _ in range(3)] == [21, 22, 23]
    assert link.offer(MS, Frame(1250))[0][0] == 23 * MS
    assert link.offer(30 * MS, Frame(1250))[0][0] == 30 * MS


def test_a_handover() -> None:
    wifi = (("rate", 20_000_000), ("delay", 5 * MS))
    link = direction(rate=1_000_000, delay=40 * MS, changes=(Change(1000 * MS, wifi),))
    assert link.offer(0, Frame(1250))[0][0] == 50 * MS
    assert link.offer(1000 * MS, Frame(1250))[0][0] == int(1005.5 * MS)


def test_several_changes_that_nobody_saw_come_all_at_once() -> None:
    changes = (Change(2 * MS, (("delay", 9 * MS),)), Change(MS, (("delay", 3 * MS), ("duplicate", 1.0))))
    link = direction(changes=changes)
    assert [at for at, _ in link.offer(10 * MS, Frame())] == [19 * MS, 19 * MS]


def test_rules_of_a_change_count_from_then_on() -> None:
    link = direction(changes=(Change(MS, (("drops", ("packet:2", "syn")),)),))
    assert link.offer(0, up(SYN, 1))
    assert not link.offer(MS, up(SYN, 1))
    assert not link.offer(2 * MS, Frame())
    assert link.unmatched() == ()


def test_the_report_says_what_was_to_happen_when() -> None:
    link = direction(changes=(Change(3 * MS, (("loss", 1.0),)),), blackouts=("1ms-2ms",))
    timed = [{"at": MS, "what": "blackout 1ms-2ms"}, {"at": 3 * MS, "what": "change at 3 ms"}]
    assert link.report()["timed"] == timed
    assert "timed" not in direction(loss=0.1).report()


def test_it_travels_as_json() -> None:
    params = LinkParams(
        rate=1_000_000,
        drops=("syn", "data:1"),
        blackouts=("1s-2s",),
        changes=(Change(MS, (("drops", ("syn:2",)), ("loss", 0.5), ("burst", "p=1% r=2%"))),),
    )
    assert params_from_plain(json.loads(json.dumps(dataclasses.asdict(params)))) == params


@given(
    gaps=st.lists(st.integers(0, 4 * MS), min_size=1, max_size=80),
    changes=st.lists(
        st.tuples(
            st.integers(0, 100 * MS),
            st.fixed_dictionaries(
                {},
                optional={
                    "rate": st.sampled_from((None, 1_000_000, 100_000_000)),
                    "delay": st.integers(0, 50 * MS),
                    "loss": st.sampled_from((0.0, 0.5, 1.0)),
                    "queue": st.integers(1, 20),
                },
            ),
        ),
        max_size=6,
    ),
)
def test_order_and_number_hold_whatever_changes(
    gaps: list[int], changes: list[tuple[int, dict[str, int]]]
) -> None:
    link = direction(changes=tuple(Change(at, tuple(values.items())) for at, values in changes))
    now, out = 0, []
    for gap in gaps:
        now += gap
        out += [at for at, _ in link.offer(now, Frame())]
    assert out == sorted(out)
    assert len(gaps) == len(out) + sum(link.dropped.values())
    assert all(later >= earlier for earlier, later in itertools.pairwise(out))
