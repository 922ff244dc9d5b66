"""The capture writer against the library that reads captures, and against tshark."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path

import pytest
from pcapng import FileScanner, blocks

from testbed.capture import RAW_IP, CapturedPacket, CaptureWriter, Interface, write_pcapng
from testbed.mptcp.wire import ACK, SYN, Segment, encode

A, B = bytes((10, 0, 1, 1)), bytes((10, 0, 3, 1))
PACKETS = [
    CapturedPacket(1_700_000_000_123_456_789, encode(Segment(A, B, 40000, 20080, 1, 0, SYN))),
    CapturedPacket(1_700_000_000_123_456_790, encode(Segment(B, A, 20080, 40000, 9, 2, SYN | ACK))),
    CapturedPacket(1_700_000_001_000_000_001, encode(Segment(A, B, 40000, 20080, 2, 10, ACK)), "third_ack"),
    CapturedPacket(
        1_700_000_002_000_000_000, encode(Segment(A, B, 40000, 20080, 2, 10, ACK, payload=b"odd"))
    ),
]


@pytest.mark.filterwarnings("ignore:Field type should not be:DeprecationWarning")
def test_library_reads_what_we_write(tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    write_pcapng(path, PACKETS, [Interface("client-r1")])
    with path.open("rb") as stream:
        found = [block for block in FileScanner(stream) if isinstance(block, blocks.EnhancedPacket)]
    assert [block.packet_data for block in found] == [packet.data for packet in PACKETS]
    times = [(block.timestamp_high << 32) + block.timestamp_low for block in found]
    assert times == [packet.time for packet in PACKETS]
    assert [block.options.get("opt_comment") for block in found] == [None, None, "dropped: third_ack", None]
    assert {block.interface.options["if_name"] for block in found} == {"client-r1"}
    assert {block.interface.link_type for block in found} == {RAW_IP}


def test_undeclared_interface_is_refused() -> None:
    writer = CaptureWriter(io.BytesIO(), [Interface("a"), Interface("b")])
    writer.packet(0, b"x", interface=1)
    with pytest.raises(ValueError, match="interface 2 of 2"):
        writer.packet(0, b"x", interface=2)


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_tshark_reads_what_we_write(tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    write_pcapng(path, PACKETS)
    fields = ["frame.time_epoch", "frame.comment", "tcp.flags.syn", "tcp.len"]
    command = ["tshark", "-r", str(path), "-T", "fields"] + [word for name in fields for word in ("-e", name)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line.split("\t") for line in lines] == [
        ["1700000000.123456789", "", "1", "0"],
        ["1700000000.123456790", "", "1", "0"],
        ["1700000001.000000001", "dropped: third_ack", "0", "0"],
        ["1700000002.000000000", "", "0", "3"],
    ]
