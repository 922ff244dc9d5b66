"""Large frames with a real kernel: cut on their way into a plain TAP, merged on their way out of a cable."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.namespaces import Namespace, expect_line, join, namespaces, why_no_lab

pytestmark = [pytest.mark.lab, pytest.mark.skipif(why_no_lab() is not None, reason=str(why_no_lab()))]

PAYLOAD = 60_003  # of a large frame; no multiple of CUT
CUT = 1400
COUNT = -(-PAYLOAD // CUT)

_COMMON = """
import ipaddress, json, select, sys
from testbed.drive.divert import Divert
from testbed.drive.tun import Tun, open_tap
from testbed.mptcp.wire import ACK, PSH, Dss, Segment, Timestamps, decode
local, remote, offload, *sizes = sys.argv[1:]
packed = lambda text: ipaddress.ip_address(text).packed
body = bytes(range(251)) * 300
options = (Timestamps(1, 2), Dss(5, True, 6, True, 1, 60003))
def segments():
    at = 7
    for size in map(int, sizes):
        yield Segment(packed(local), packed(remote), 20080, 9, at, 3, ACK | PSH, 500, options,
                      body[at:at + size], cut=1400)
        at += size
"""
# Sends segments towards `remote` over a plain TAP and reads what comes out of it, as a wire does.
_INTO_TAP = (
    _COMMON
    + """
import subprocess
tap = open_tap("eth0")
def ip(*words):
    subprocess.run(["ip", *words], check=True)
ip("link", "set", "eth0", "up", "txqueuelen", "5000")
ip("addr", "add", local + ("/64" if ":" in local else "/24"), "dev", "eth0", *["nodad"] * (":" in local))
ip("neigh", "replace", remote, "lladdr", "02:00:00:00:00:01", "dev", "eth0")
import os
found = []
with Tun(offload=offload == "offload") as tun, Divert(tun, (20080, 20080), (local,)):
    for segment in segments():
        tun.send(segment)
    errors = tun.write_errors
    while select.select([tap], [], [], 0.5)[0]:
        frame = os.read(tap, 1 << 17)
        segment = decode(frame[14:])
        if isinstance(segment, Segment):
            found.append({"length": len(frame), "seq": segment.seq, "flags": segment.flags,
                          "same": segment.options == options,
                          "right": segment.payload == body[segment.seq:segment.seq + len(segment.payload)],
                          "payload": len(segment.payload)})
        elif "TCP" in segment.why and "not TCP" not in segment.why:
            found.append({"why": segment.why})
print(json.dumps({"found": found, "errors": errors, "gso_max_size": tun.gso_max_size}))
"""
)
_SEND = (
    _COMMON
    + """
with Tun() as tun, Divert(tun, (20080, 20080), (local,)):
    for segment in segments():
        tun.send(segment)
print(tun.write_errors)
"""
)
# Reads what arrives for a diverted port until `sizes[0]` bytes are there.
_READ = (
    _COMMON
    + """
got, found = 0, []
with Tun(offload=offload == "offload") as tun, Divert(tun, (9, 9), (local,)):
    print("ready", flush=True)
    while got < int(sizes[0]) and select.select([tun], [], [], 10)[0]:
        packet, verify = tun.read()
        segment = decode(packet, verify=verify)
        if not isinstance(segment, Segment):
            assert "not TCP" in segment.why, segment  # the kernel's own chatter about IPv6 groups
            continue
        assert segment.options == options
        assert segment.payload == body[segment.seq:segment.seq + len(segment.payload)]
        got += len(segment.payload)
        found.append(len(segment.payload))
print(json.dumps(found))
"""
)
ADDRESSES = {"ipv4": ("10.9.0.1", "10.9.0.2"), "ipv6": ("fd00:9::1", "fd00:9::2")}


def send_into_tap(family: str, offload: str, *sizes: int) -> Any:
    with namespaces(1) as (a,):
        words = [*ADDRESSES[family], offload, *map(str, sizes)]
        return json.loads(a.python(_INTO_TAP, *words))


@pytest.mark.parametrize("offload", ["offload", "plain"])
@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_a_plain_tap_gets_single_complete_packets(family: str, offload: str) -> None:
    """What a userspace wire reads: whoever cut the frame, each packet is whole and its checksum complete."""
    report = send_into_tap(family, offload, PAYLOAD, 100)
    found = report["found"]
    assert report["errors"] == 0
    assert (report["gso_max_size"] > 60_000) == (offload == "offload")
    assert all("why" not in packet for packet in found), found
    assert len(found) == COUNT + 1
    assert all(packet["same"] and packet["right"] for packet in found)
    assert max(packet["length"] for packet in found) <= 1514
    assert [packet["payload"] for packet in found] == [CUT] * (COUNT - 1) + [PAYLOAD % CUT, 100]
    assert [bool(packet["flags"] & 8) for packet in found] == [False] * (COUNT - 1) + [True, True]


def cable(a: Namespace, b: Namespace, family: str) -> None:
    near, far = ADDRESSES[family]
    length = 64 if family == "ipv6" else 24
    join(a, b, f"{near}/{length}", f"{far}/{length}")
    for namespace in (a, b):  # a cable has a queue for each CPU, and between two of them it reorders
        namespace.run("sh", "-c", "echo 1 > /sys/class/net/eth0/queues/rx-0/rps_cpus")


def receiver(b: Namespace, family: str, offload: str, size: int) -> subprocess.Popen[str]:
    near, far = ADDRESSES[family]
    child = b.start_python(_READ, far, near, offload, str(size))
    expect_line(child, "ready")
    return child


def sizes_read(child: subprocess.Popen[str]) -> list[int]:
    out, errors = child.communicate(timeout=30)
    assert child.returncode == 0, errors
    sizes: list[int] = json.loads(out)
    return sizes


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_a_cable_carries_a_large_frame_whole(family: str) -> None:
    with namespaces(2) as (a, b):
        cable(a, b, family)
        reading = receiver(b, family, "offload", PAYLOAD)
        assert a.python(_SEND, *ADDRESSES[family], "offload", str(PAYLOAD)).strip() == "0"
        assert sizes_read(reading) == [PAYLOAD]


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_what_the_link_cuts_is_merged_where_it_arrives(family: str) -> None:
    """Without segmentation offload at the sending end, with receive offload at the other."""
    with namespaces(2) as (a, b):
        cable(a, b, family)
        a.run("ethtool", "-K", "eth0", "tso", "off")
        b.run("ethtool", "-K", "eth0", "gro", "on")
        reading = receiver(b, family, "offload", PAYLOAD)
        a.python(_SEND, *ADDRESSES[family], "offload", str(PAYLOAD))
        sizes = sizes_read(reading)
        assert sum(sizes) == PAYLOAD
        assert max(sizes) > 10 * CUT


def test_a_stack_without_offload_reads_single_packets() -> None:
    with namespaces(2) as (a, b):
        cable(a, b, "ipv4")
        reading = receiver(b, "ipv4", "plain", PAYLOAD)
        a.python(_SEND, *ADDRESSES["ipv4"], "offload", str(PAYLOAD))
        assert sizes_read(reading) == [CUT] * (COUNT - 1) + [PAYLOAD % CUT]
