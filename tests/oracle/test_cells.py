"""Cells, what is expected of them and how a difference is told: all of it without running anything."""

from __future__ import annotations

import dataclasses
import json

import pytest

from testbed.errors import UserError
from testbed.linux.node import script, since
from testbed.oracle import (
    Cell,
    Outcome,
    chosen,
    linux_peer,
    markdown,
    matrix,
    network,
    records,
    scenario_cells,
    small_matrix,
)
from testbed.oracle.cells import PAIRS, TRANSFER
from testbed.oracle.expected import MANY, Expected, spelled, transfer, within
from testbed.oracle.outcome import End, differences
from testbed.oracle.peers import COMMANDS, READERS, Settings, Task
from testbed.oracle.report import line, time_left
from testbed.oracle.scenarios import SCENARIOS, expected

ALL = [*matrix(), *scenario_cells()]
NAMES = frozenset({"MPCapableSYNTX", "MPCapableSYNRX", "MPRstTx", "OFOQueue"})


def ends(cell: Cell, size: int = 1000) -> dict[str, End]:
    """Two ends that saw exactly what is expected."""
    want = expected(cell)
    found = {}
    for side in ("client", "server"):
        counters = {
            name: count if isinstance(count, int) else count[0] for name, count in want.counts(side).items()
        }
        most = want.subflows if isinstance(want.subflows, int) else want.subflows[0]
        found[side] = End(
            cell.stack(side), want.verdict, True, size, size, most, cell.checksum, counters=counters
        )
    return found


def test_the_matrix_is_whole_and_the_small_one_has_every_value() -> None:
    assert len(matrix()) == len({cell.name for cell in matrix()}) == 4 * 2 * 3 * 4
    assert len({cell.name for cell in ALL}) == len(ALL)
    for field in ("family", "paths", "checksum", "cookies"):
        for client, server in PAIRS:
            small = {
                getattr(cell, field)
                for cell in small_matrix()
                if (cell.client, cell.server) == (client, server)
            }
            assert small == {getattr(cell, field) for cell in matrix()}, field


def test_cases_choose_cells_by_their_words() -> None:
    assert chosen(ALL, []) == ALL
    (cell,) = chosen(ALL, ["transfer/ours-linux/ipv6/4-paths/checksum/cookies"])
    assert cell == Cell("ours", "linux", 6, 4, True, True)
    assert {cell.scenario for cell in chosen(ALL, ["fastclose", "prio"])} == {"fastclose", "prio"}
    with pytest.raises(UserError, match=r"5-paths.*4-paths"):
        chosen(ALL, ["5-paths"])
    with pytest.raises(UserError, match="no cell has all words"):
        chosen(ALL, ["ipv4/ipv6"])


def test_every_join_has_its_counters_and_its_cookie() -> None:
    plain = transfer(Cell("linux", "linux"))
    assert "MPJoinSynTx" not in plain.client
    four = transfer(Cell("linux", "linux", paths=4, cookies=True))
    assert four.subflows == 4
    assert four.client["MPJoinSynTx"] == four.client["MPJoinSynAckRx"] == 3
    assert four.server["MPJoinSynRx"] == four.server["MPJoinAckRx"] == 3
    assert four.server["SyncookiesSent"] == four.server["SyncookiesRecv"] == 4


@pytest.mark.parametrize("cell", ALL, ids=lambda cell: cell.name)
def test_what_is_expected_is_accepted_and_nothing_else(cell: Cell) -> None:
    want, good = expected(cell), ends(cell)
    assert differences(cell, want, good, 1000, NAMES) == []
    for side in ("client", "server"):
        for name, count in want.counts(side).items():
            if isinstance(count, int):
                bad = dataclasses.replace(good[side], counters={**good[side].counters, name: count + 1})
                told = differences(cell, want, {**good, side: bad}, 1000, NAMES)
                assert told == [f"{side} ({cell.stack(side)}): {name} {count + 1}, expected {count}"]


def test_every_kind_of_difference_is_told() -> None:
    cell = Cell("linux", "ours", paths=2)
    want, good = expected(cell), ends(cell)

    def told(**changes: object) -> list[str]:
        bad = dataclasses.replace(good["client"], **changes)  # type: ignore[arg-type]
        return differences(cell, want, {**good, "client": bad}, 1000, NAMES)

    assert told(intact=False) == ["client (linux): data damaged or missing"]
    assert told(received=999) == ["client (linux): 1000 bytes sent and 999 received, expected 1000 each way"]
    assert told(verdict="fallback") == ["client (linux): ended as fallback, expected mptcp"]
    assert told(checksum=True) == ["client (linux): checksums on"]
    assert told(error="TimeoutError")[0] == "client (linux): TimeoutError"
    assert told(subflows=3) == ["3 subflows, expected 2"]
    extra = {**good["client"].counters, "MPRstTx": 1, "OFOQueue": 7}
    assert told(counters=extra) == ["client (linux): MPRstTx 1, expected 0"]
    stale = {side: {**good[side].counters, "SubflowStale": 1} for side in good}
    both = {side: dataclasses.replace(end, counters=stale[side]) for side, end in good.items()}
    found = differences(cell, want, both, 1000, NAMES | {"SubflowStale"})
    assert found == ["client (linux): SubflowStale 1, expected 0"], "ours may be starved"


def test_an_idle_path_is_seen_by_its_bytes() -> None:
    cell = Cell("linux", "linux", paths=2, scenario="backup")
    flows = tuple(
        {
            "local": network.address("client", path, 4),
            "remote": network.address("server", 1, 4),
            "sent": sent,
            "received": 0,
        }
        for path, sent in ((1, 600), (2, 400))
    )
    good = ends(cell)
    good["client"] = dataclasses.replace(good["client"], flows=flows)
    told = differences(cell, expected(cell), good, 1000, frozenset())
    assert told == ["client (linux): 400 of 1000 bytes on 10.7.2.1 - 10.7.1.2, expected none"]
    good["client"] = dataclasses.replace(good["client"], flows=flows[:1])
    told = differences(cell, expected(cell), good, 1000, frozenset())
    assert told == ["client (linux): no subflow on cables 2 - 1"]


def test_counts_may_be_ranges() -> None:
    assert within(3, 3)
    assert not within(2, 3)
    assert within(1, (1, MANY))
    assert not within(0, (1, MANY))
    assert (spelled(3), spelled((0, 1)), spelled((1, MANY))) == ("3", "0 to 1", "1 or more")


def test_every_scenario_asks_something_and_has_its_setting() -> None:
    for name, scenario in SCENARIOS.items():
        assert scenario.question, name
        for cell in (cell for cell in ALL if cell.scenario == name):
            assert isinstance(scenario.expect(cell), Expected)
            for side in (scenario.client(cell), scenario.server(cell)):
                assert all(words.split()[1] == "dev" for words in side.endpoints), name


def test_routes_keep_a_subflow_on_the_cable_of_its_clients_address() -> None:
    plan = network.plan()
    for path in range(1, 5):
        for family in (4, 6):
            near, far = network.address("client", path, family), network.address("server", 1, family)
            assert plan.next_hop("client", near, far) == (f"cable{path}", "forward")
            assert plan.next_hop("server", far, near) == (f"cable{path}", "backward")


def test_the_kernel_is_told_everything_anew() -> None:
    text = script({"net.mptcp.checksum_enabled": 1}, ["10.7.2.1 dev client-eth1 subflow"], "subflows 3")
    lines = text.splitlines()
    assert "sysctl -qw net.mptcp.checksum_enabled=1" in lines
    assert "sysctl -qw net.ipv4.tcp_syncookies=0" in lines
    assert lines[-3:] == [
        "ip mptcp endpoint flush",
        "ip mptcp limits set subflows 3",
        "ip mptcp endpoint add 10.7.2.1 dev client-eth1 subflow",
    ]
    assert since({"a": 1, "b": 2}, {"a": 1, "b": 5, "c": 0}) == {"b": 3}


def test_the_programs_get_the_cells_settings() -> None:
    second = Settings(("10.7.2.1 dev client-eth1 subflow",))
    task = Task(6, 21000, 5000, 2, True, True, client=second, server=Settings())
    ours = COMMANDS["ours"]("client", task)
    assert "[fd00:7:1::2]:21000" in ours
    assert ours[ours.index("--endpoint") + 1] == "10.7.2.1 dev client-eth1 subflow"
    assert "--checksum" in ours
    server = COMMANDS["ours"]("server", task)
    assert server[server.index("--syn-cookies") + 1] == "always"
    spec = json.loads(COMMANDS["linux"]("client", task)[-1])
    assert (spec["bind"], spec["address"], spec["subflows"]) == ("fd00:7:1::1", "fd00:7:1::2", 2)


def test_results_of_both_stacks_become_ends() -> None:
    row = {"verdict": "mptcp", "intact": True, "bytes_sent": 5, "bytes_received": 6, "subflows": 2}
    row |= {"reason": "none", "seconds": 0.5, "counters": {"MPJoinSynRx": 1}}
    path = {"local_address": "10.7.1.2", "remote_address": "10.7.1.1", "bytes_sent": 3, "bytes_received": 4}
    row["paths"] = [{**path, "srtt_ns": 7}]
    end = READERS["ours"]([row, {"counters": {"MPJoinSynRx": 2}}])
    assert (end.sent, end.received, end.subflows, end.counters) == (5, 6, 2, {"MPJoinSynRx": 2})
    assert end.flows == ({"local": "10.7.1.2", "remote": "10.7.1.1", "sent": 3, "received": 4},)
    assert READERS["ours"]([{"counters": {}}]).error == "no connection"
    assert READERS["linux"]([{"event": "midway"}]).error == "ended behind midway"


def test_the_stream_is_the_same_wherever_it_is_cut() -> None:
    whole = linux_peer.BLOCK * 6
    for at in (0, 1, 65_520, 65_521, 200_000):
        assert bytes(linux_peer.stream(at, 70_000)) == whole[at : at + 70_000]
    assert len(linux_peer.stream(5, 1 << 30)) == linux_peer.CHUNK


def test_tables_say_what_passed_and_what_did_not() -> None:
    good, bad, none = (
        Cell("linux", "linux"),
        Cell("linux", "ours"),
        Cell("ours", "ours", scenario="prio", paths=2),
    )
    outcomes = [
        Outcome(good, ends(good), seconds=1.0, goodput=5e8),
        Outcome(bad, ends(bad), ("3 subflows, expected 1",), seconds=3.0),
        Outcome(none, unsupported="not yet"),
    ]
    text = markdown(outcomes, 1000)
    assert text.startswith("3 cells, 1,000 bytes each way: 1 passed, 1 failed, 1 unsupported.")
    assert "| linux - linux   | IPv4   | 1     | ok 1, 500 |" in text
    assert "| linux - ours    | IPv4   | 1     | FAIL 1, 0 |" in text
    assert "- transfer/linux-ours/ipv4/1-path\n  - 3 subflows, expected 1" in text
    assert f"- prio: {SCENARIOS['prio'].question}" in text
    assert [record["state"] for record in records(outcomes)] == ["passed", "failed", "unsupported"]
    assert json.dumps(records(outcomes))
    assert time_left(outcomes[:2], [good, good, bad]) == 5.0
    assert line(outcomes[1], 2, 30, 65.0).startswith("[ 2/30] failed      transfer/linux-ours/ipv4/1-path")
    assert line(outcomes[1], 2, 30, 65.0).endswith("about 1:05 left")


def test_counters_stand_side_by_side_and_cells_that_counted_alike_share_their_lines() -> None:
    outcomes = []
    for pair, extra in ((("linux", "linux"), {"OFOQueue": 9}), (("ours", "linux"), {"RetransSegs": 3})):
        for family in (4, 6):
            cell = Cell(*pair, family=family)
            found = ends(cell)
            counters = {**found["client"].counters, **extra}
            outcomes.append(
                Outcome(cell, {**found, "client": dataclasses.replace(found["client"], counters=counters)})
            )
    text = markdown(outcomes, 1000).split("## Counters")[1]
    (line, *_) = [line for line in text.splitlines() if "MPCapableSYNTX" in line]
    assert [word.strip() for word in line.split("|")[2:]] == ["client", "MPCapableSYNTX", "1", "1", ""]
    assert "| transfer: ipv4/1-path, ipv6/1-path |" in text
    assert text.count("MPCapableSYNTX") == 1
    assert "OFOQueue" not in text, "it is left free"
    assert "RetransSegs" not in text, "Linux has no such name among these"


def test_only_the_matrix_is_called_transfer() -> None:
    assert {cell.scenario for cell in matrix()} == {TRANSFER}
    assert TRANSFER not in {cell.scenario for cell in scenario_cells()}
