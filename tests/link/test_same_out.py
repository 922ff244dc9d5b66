"""Simulator and wire: the same seed and the same packets at the same times give the same packets out."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from testbed.drive.frames import FrameLink
from testbed.link import Link, LinkParams, Way
from testbed.mptcp.config import Profile, SynCookies
from testbed.mptcp.paths import PathsConfig
from testbed.mptcp.wire import ACK, SYN, Segment, encode
from testbed.plan.shaping import params_from
from testbed.sim.network import Damaged, SimPacket, _made
from testbed.workloads import Workload
from tests.link.packets import CLIENT, SERVER
from tests.link.test_link import Scripted, Spec, marked, untouched
from tests.sim.cells import network, run_cell

MS = 1_000_000
MACS = {"forward": b"\x02\0\0\0\0\1\x02\0\0\0\0\2", "backward": b"\x02\0\0\0\0\2\x02\0\0\0\0\1"}

SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {"delay": "7ms"},
    "queue in bytes": {"bw": 10, "queue": "20kB", "delay": "5ms", "jitter": "2ms"},
    "red": {"bw": 5, "red": "min=3 max=8 p=20% weight=0.1", "loss": 2},
    "bursts": {"burst": {"p": "3%", "r": "30%"}, "reorder": 5, "hold": "3ms", "duplicate": 5},
    "disorder": {"delay": "20ms", "jitter": "10ms", "jitter_order": "any", "corrupt": 5},
    "exact": {"drop": "ack:2 + data:2+4 + dss:5@1 + third_ack:2@all", "delay": "1ms"},
    "schedule": {
        "bw": 8,
        "delay": "5ms",
        "blackout": "50ms-90ms",
        "at": {"0.1s": {"loss": 30, "bw": 2}, "200ms": {"loss": 0, "delay": "30ms", "drop": "data:1"}},
    },
}


def frame(way: Way, segment: Segment) -> bytes:
    kind = b"\x08\x00" if len(segment.src) == 4 else b"\x86\xdd"
    return MACS[way] + kind + encode(segment)


def both(params: LinkParams, packets: list[tuple[int, Way, Segment]]) -> list[list[tuple[int, Way, bytes]]]:
    """What the simulator's packets become, and what the wire's frames become, as IP packets."""
    simulated, wire = Link("a-b", params, params, 5, _made), FrameLink("a-b", params, params, 5)
    out: list[list[tuple[int, Way, bytes]]] = [[], []]
    for now, way, segment in packets:
        for at, end, packet in simulated.offer(now, way, SimPacket(segment)):
            assert isinstance(packet, SimPacket)
            data = packet.data if isinstance(packet, Damaged) else encode(packet.value)
            out[0].append((at, end, data))
        for at, end, data in wire.offer(now, way, frame(way, segment)):
            assert data[:12] == MACS[end]
            out[1].append((at, end, data[14:]))
    assert simulated.report() == {
        name: {key: value for key, value in report.items() if key != "housekeeping"}
        for name, report in wire.report().items()
    }
    return out


def conversation() -> list[tuple[int, Way, Segment]]:
    packets: list[tuple[int, Way, Segment]] = []
    for number in range(600):
        port, now = 40_000 + number % 7, number * 700_000
        flags = SYN if number < 7 else ACK
        payload = b"" if number < 14 else bytes([number & 255]) * (number * 37 % 1400)
        packets.append(
            (now, "forward", Segment(CLIENT, SERVER, port, 80, number * 1400, 0, flags, 9, (), payload))
        )
        packets.append((now + 1, "backward", Segment(SERVER, CLIENT, 80, port, number, 0, ACK, 9)))
    return packets


@pytest.mark.parametrize("name", SETTINGS)
def test_the_same_packets_come_out_at_the_same_times(name: str) -> None:
    simulated, wire = both(params_from(SETTINGS[name]), conversation())
    assert simulated == wire
    assert len(simulated) > 500


def test_through_boxes_too() -> None:
    boxes: Any = (Spec(Scripted(untouched)), Spec(Scripted(marked(b"!"))))
    simulated, wire = both(LinkParams(delay=MS, boxes=boxes), conversation())
    assert simulated == wire
    assert all(data.endswith(b"!") for _, _, data in wire)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_wire_that_gets_the_packets_of_a_whole_run_does_the_same_to_each(name: str) -> None:
    """Two paths, and what entered one of them in the simulator handed to a wire at the same times."""
    overrides = {f"paths.2.{word}": value for word, value in SETTINGS[name].items()}
    seen: list[tuple[int, Way, Segment, str | None]] = []

    def capture(now: int, link: str, way: Any, segment: Segment, cause: str | None) -> None:
        if link == "client-r2":
            seen.append((now, way, segment, cause))

    outcome = run_cell(
        Profile.V1,
        overrides=overrides,
        cookies=SynCookies.OFF,
        paths=PathsConfig(),
        workload=Workload(type="bulk", request=400_000, response=100_000),
        seed=3,
        capture=capture,
        until=30_000 * MS,
    )
    plan = network(overrides).link("client-r2")
    causes: list[str | None] = []
    wire = FrameLink(
        "client-r2", plan.forward, plan.backward, 3, lambda now, way, packet, why: causes.append(why)
    )
    for now, way, segment, _ in seen:
        wire.offer(now, way, frame(way, segment))
    assert len(seen) > 20
    assert causes == [cause for _, _, _, cause in seen]
    for side, report in wire.report().items():
        del report["housekeeping"]
        assert report == outcome.links[side]
    times = [now for now, *_ in seen]
    assert all(a <= b for a, b in itertools.pairwise(times))
