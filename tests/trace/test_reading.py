"""Ways in which packets may be wrapped, compressed and handed over, and what is left out is counted."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testbed.capture import CapturedPacket, CaptureWriter, Interface, write_pcapng
from testbed.trace import Capture, connections, read_capture
from tests.trace.test_capture_file import IPV6, MACS, RAW, SEGMENTS, WHOLE, classic, ethernet, read


def family(data: bytes) -> bytes:
    return b"\x08\x00" if data[0] >> 4 == 4 else b"\x86\xdd"


def ppp(data: bytes) -> bytes:
    return (b"\x00\x21" if data[0] >> 4 == 4 else b"\x00\x57") + data


def pppoe(data: bytes) -> bytes:
    return b"\x11\x00\x00\x07" + (len(data) + 2).to_bytes(2, "big") + ppp(data)


def snap(data: bytes) -> bytes:
    return b"\xaa\xaa\x03\0\0\0" + family(data) + data


def wireless(data: bytes, control: bytes = b"\x08\x01", more: bytes = b"") -> bytes:
    return control + b"\0\0" + MACS + MACS[:6] + b"\0\0" + more + snap(data)


def radiotap(data: bytes) -> bytes:
    return b"\0\0\x08\0" + bytes(4) + wireless(data)


def radiotap_padded(data: bytes) -> bytes:
    """TSFT and flags (0x20: padded), then quality of service: 26 bytes padded to 28."""
    head = b"\0\0\x12\0" + (3).to_bytes(4, "little") + bytes(8) + b"\x20\0"
    return head + wireless(data, b"\x88\x01", b"\0\0" + b"\0\0")


WRAPPED: dict[str, tuple[int, Callable[[bytes], bytes]]] = {
    "PPP": (9, ppp),
    "PPP, short protocol": (9, lambda data: ppp(data)[1:]),
    "PPP, address and control": (9, lambda data: b"\xff\x03" + ppp(data)),
    "PPP in HDLC framing": (50, lambda data: b"\xff\x03" + ppp(data)),
    "PPPoE": (51, pppoe),
    "PPPoE over Ethernet": (1, lambda data: MACS + b"\x88\x64" + pppoe(data)),
    "PPPoE in a VLAN": (1, lambda data: MACS + b"\x81\0\0\x07\x88\x64" + pppoe(data)),
    "SNAP over Ethernet": (1, lambda data: MACS + (len(data) + 8).to_bytes(2, "big") + snap(data)),
    "802.11": (105, wireless),
    "802.11, quality of service": (105, lambda data: wireless(data, b"\x88\x01", b"\0\0")),
    "802.11, four addresses": (105, lambda data: wireless(data, b"\x08\x03", MACS[:6])),
    "radiotap": (127, radiotap),
    "radiotap, padded": (127, radiotap_padded),
}


def told(found: Capture) -> tuple[object, ...]:
    (connection,) = connections(found.packets)
    return connection.profile, connection.verdict, connection.bytes, connection.closed_by


WANTED = ("v1", "mptcp", (300, 500), "data_fin")


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("name", WRAPPED)
def test_link_layers(name: str, version: int, tmp_path: Path) -> None:
    link_type, wrap = WRAPPED[name]
    packets = [wrap(data) for data in (RAW if version == 4 else IPV6)]
    found = read(tmp_path, classic(packets, link_type))
    assert told(found) == WANTED
    if shutil.which("tshark"):
        witness = ["tshark", "-r", str(tmp_path / "a.cap"), "-Y", "tcp", "-T", "fields", "-e", "frame.number"]
        done = subprocess.run(witness, capture_output=True, text=True, check=True)
        assert len(done.stdout.split()) == len(found.packets)


def extended(data: bytes, *kinds: int) -> bytes:
    """An IPv6 packet with extension headers of these kinds before TCP."""
    body, following = data[40:], 6
    for kind in reversed(kinds):
        if kind == 44:
            head = bytes((following, 0)) + bytes(6)  # an atomic fragment
        elif kind == 51:
            head = bytes((following, 4)) + bytes(22)  # 24 bytes in units of 4, less 2
        else:
            head = bytes((following, 1)) + b"\x01\x0c" + bytes(12)  # 16 bytes: one padding option
        body, following = head + body, kind
    return data[:4] + len(body).to_bytes(2, "big") + bytes((following,)) + data[7:40] + body


@pytest.mark.parametrize("kinds", [(0,), (43,), (44,), (51,), (60,), (0, 60, 43, 44, 51, 60), (60,) * 20])
def test_ipv6_extension_headers(kinds: tuple[int, ...], tmp_path: Path) -> None:
    found = read(tmp_path, classic([extended(data, *kinds) for data in IPV6]))
    assert told(found) == WANTED
    assert not found.left_out


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from((0, 43, 44, 51, 60)), max_size=6), st.integers(54, 220))
def test_cut_extension_headers_are_read_or_left_out(tmp_path: Path, kinds: list[int], snap: int) -> None:
    found = read(tmp_path, classic([extended(data, *kinds) for data in IPV6], snap=snap))
    assert len(found.packets) + sum(found.left_out.values()) == len(IPV6)
    assert set(found.left_out) <= {"headers not captured"}
    assert [packet.length for packet in found.packets if packet.length] in ([], [300, 500])


@pytest.mark.parametrize("which", range(len(RAW)))
@pytest.mark.parametrize("beyond", [1, 1000, 60_000])
def test_a_length_beyond_the_frame_counts_what_the_frame_has(which: int, beyond: int, tmp_path: Path) -> None:
    damaged = list(RAW)
    data = damaged[which]
    damaged[which] = data[:2] + min(0xFFFF, len(data) + beyond).to_bytes(2, "big") + data[4:]
    assert told(read(tmp_path, classic(damaged))) == WANTED


# -- compressed, piped, cut --------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [WHOLE, classic(RAW)], ids=["pcapng", "pcap"])
def test_compressed(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.pcap.gz"
    path.write_bytes(gzip.compress(content))
    assert len(read_capture(path).packets) == len(RAW)


@pytest.mark.parametrize("content", [WHOLE, classic(RAW)], ids=["pcapng", "pcap"])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_named_pipe(content: bytes, zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    data = gzip.compress(content) if zipped else content
    writer = threading.Thread(target=path.write_bytes, args=(data,), daemon=True)
    writer.start()
    assert len(read_capture(path).packets) == len(RAW)
    writer.join(timeout=10)
    assert not writer.is_alive()


@pytest.mark.parametrize("zipped", [True, False])
def test_standard_input(zipped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    data = gzip.compress(WHOLE) if zipped else WHOLE
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(data))))  # type: ignore[arg-type]
    assert len(read_capture("-").packets) == len(RAW)


@pytest.mark.parametrize("cut", range(25, len(classic(RAW)), 37))
@pytest.mark.parametrize("zipped", [True, False])
def test_a_cut_file_is_read_up_to_the_cut(cut: int, zipped: bool, tmp_path: Path) -> None:
    content = classic(RAW)
    ends = [24]
    for data in RAW:
        ends.append(ends[-1] + 16 + len(data))
    path = tmp_path / "cut"
    path.write_bytes(gzip.compress(content[:cut]) if zipped else content[:cut])
    found = read_capture(path)
    assert len(found.packets) == sum(end <= cut for end in ends[1:])
    assert len(found.warnings) == (cut not in ends)
    assert all(f"offset {max(end for end in ends if end <= cut)}" in line for line in found.warnings)


def test_a_cut_gzip_stream_is_read_up_to_the_cut(tmp_path: Path) -> None:
    path = tmp_path / "cut.gz"
    path.write_bytes(gzip.compress(os.urandom(0) + classic(RAW), compresslevel=0)[:-300])
    found = read_capture(path)
    assert 0 < len(found.packets) < len(RAW)
    assert len(found.warnings) == 1


# -- interfaces --------------------------------------------------------------------------------------------


def test_frames_of_an_interface_that_cannot_be_read_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "two.pcapng"
    packets = [
        CapturedPacket(time, ethernet(data), None, 0)
        for (time, _, _), data in zip(SEGMENTS, RAW, strict=True)
    ]
    other = [CapturedPacket(time + 1, b"\x01\x02\x03", None, 1) for time, _, _ in SEGMENTS[:3]]
    write_pcapng(path, packets + other, [Interface("eth0", 1), Interface("usbmon1", 220)])
    found = read_capture(path)
    assert told(found) == WANTED
    assert found.left_out == {"link type 220 of the interface cannot be read": 3}


def test_frames_of_an_interface_that_was_never_described_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "none.pcapng"
    at = WHOLE.index(struct.pack("<II", 6, int.from_bytes(WHOLE[-4:], "little")))
    last = bytearray(WHOLE)
    last[at + 8 : at + 12] = (7).to_bytes(4, "little")
    path.write_bytes(bytes(last))
    found = read_capture(path)
    assert len(found.packets) == len(RAW) - 1
    assert found.left_out == {"an interface that the file does not describe": 1}


@pytest.mark.parametrize("count", [1, 500, 3000])
def test_many_interfaces(count: int, tmp_path: Path) -> None:
    """A packet is seen at each in turn; it stays one packet."""
    path = tmp_path / "many.pcapng"
    with path.open("wb") as stream:
        writer = CaptureWriter(stream, [Interface(f"if{number}") for number in range(count)])
        for number in range(count):
            writer.packet(number, RAW[0], None, number)
    (packet,) = read_capture(path).packets
    assert (packet.time, packet.arrived) == (0, count - 1)


def test_the_same_payload_matters_for_a_sighting(tmp_path: Path) -> None:
    """Two segments that differ in their payload alone are two packets, on two links as well."""
    data = next(each for each in RAW if len(each) > 400)
    other = data[:-1] + bytes((data[-1] ^ 1,))
    path = tmp_path / "a.pcapng"
    write_pcapng(
        path, [CapturedPacket(1, data), CapturedPacket(2, other, None, 1)], [Interface("a"), Interface("b")]
    )
    assert len(read_capture(path).packets) == 2
