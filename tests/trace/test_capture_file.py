"""Every format and link type that a capture may have, and every way in which a file may be none."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testbed.capture import ETHERNET, RAW_IP, CapturedPacket, CaptureWriter, Interface, write_pcapng
from testbed.errors import UserError
from testbed.mptcp.wire import Segment, encode
from testbed.trace import Capture, connections, read_capture
from testbed.trace.capture_file import frames
from tests.trace.conversation import Timed, talk

SEGMENTS = talk("v1").segments
RAW = [encode(segment) for _, segment, _ in SEGMENTS]
IPV6 = [encode(segment) for _, segment, _ in talk("v1", ipv6=True).segments]
MACS = bytes.fromhex("020000000002 020000000001")
UNLIMITED = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def classic(
    packets: list[bytes], link_type: int = RAW_IP, order: str = "<", nano: bool = True, snap: int = 65535
) -> bytes:
    out = struct.pack(f"{order}IHHiIII", 0xA1B23C4D if nano else 0xA1B2C3D4, 2, 4, 0, 0, snap, link_type)
    for (time, _, _), data in zip(SEGMENTS, packets, strict=True):
        fraction = time % 10**9 if nano else time % 10**9 // 1000
        out += (
            struct.pack(f"{order}IIII", time // 10**9, fraction, min(len(data), snap), len(data))
            + data[:snap]
        )
    return out


def read(tmp_path: Path, content: bytes) -> Capture:
    path = tmp_path / "a.cap"
    path.write_bytes(content)
    return read_capture(path)


def without_contents(segments: list[Timed]) -> list[Segment]:
    """A capture's packets know the length of a payload; what was in it is not kept."""
    return [replace(segment, payload=bytes(len(segment.payload))) for _, segment, _ in segments]


def check(found: Capture, segments: list[Timed] = SEGMENTS) -> None:
    assert [packet.segment for packet in found.packets] == without_contents(segments)
    assert all(packet.complete and packet.whole for packet in found.packets)
    assert [packet.time for packet in found.packets] == [time for time, _, _ in SEGMENTS]
    assert [packet.frame for packet in found.packets] == list(range(1, len(SEGMENTS) + 1))
    (connection,) = connections(found.packets)
    assert connection.bytes == (300, 500)


@pytest.mark.parametrize("nano", [True, False])
@pytest.mark.parametrize("order", ["<", ">"])
def test_classic_pcap(order: str, nano: bool, tmp_path: Path) -> None:
    check(read(tmp_path, classic(RAW, order=order, nano=nano)))


def ethernet(data: bytes, tag: bytes = b"") -> bytes:
    return MACS + tag + (b"\x08\x00" if data[0] >> 4 == 4 else b"\x86\xdd") + data


def cooked(data: bytes) -> bytes:
    kind = b"\x08\x00" if data[0] >> 4 == 4 else b"\x86\xdd"
    return b"\0\0\0\1\0\6" + MACS[:6] + b"\0\0" + kind + data


def cooked_2(data: bytes) -> bytes:
    kind = b"\x08\x00" if data[0] >> 4 == 4 else b"\x86\xdd"
    return kind + b"\0\0" + b"\0\0\0\2" + b"\0\1" + b"\0\6" + MACS[:6] + b"\0\0" + data


LINKS: dict[str, tuple[int, Callable[[bytes], bytes]]] = {
    "Ethernet": (1, ethernet),
    "Ethernet, padded": (1, lambda data: ethernet(data) + bytes(6)),
    "VLAN": (1, lambda data: ethernet(data, bytes.fromhex("8100 0064"))),
    "VLAN in VLAN": (1, lambda data: ethernet(data, bytes.fromhex("88a8 0064 8100 0065"))),
    "Linux cooked": (113, cooked),
    "Linux cooked v2": (276, cooked_2),
    "raw 101": (101, bytes),
    "raw 12": (12, bytes),
    "raw 14": (14, bytes),
}


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("name", LINKS)
def test_link_types(name: str, version: int, tmp_path: Path) -> None:
    link_type, wrap = LINKS[name]
    packets = RAW if version == 4 else IPV6
    segments = SEGMENTS if version == 4 else talk("v1", ipv6=True).segments
    check(read(tmp_path, classic([wrap(data) for data in packets], link_type)), segments)


@pytest.mark.parametrize(
    ("link_type", "family", "packets"),
    [
        (0, "02000000", RAW),
        (0, "00000002", RAW),
        (0, "1e000000", IPV6),
        (0, "0000001c", IPV6),
        (108, "00000002", RAW),
        (108, "00000018", IPV6),
        (228, "", RAW),
        (229, "", IPV6),
    ],
)
def test_loopback_and_single_family(
    link_type: int, family: str, packets: list[bytes], tmp_path: Path
) -> None:
    segments = SEGMENTS if packets is RAW else talk("v1", ipv6=True).segments
    check(read(tmp_path, classic([bytes.fromhex(family) + data for data in packets], link_type)), segments)


@pytest.mark.parametrize("link_type", [ETHERNET, RAW_IP])
def test_pcapng_of_ours(link_type: int, tmp_path: Path) -> None:
    wrap = ethernet if link_type == ETHERNET else bytes
    path = tmp_path / "a.pcapng"
    packets = [CapturedPacket(time, wrap(data)) for (time, _, _), data in zip(SEGMENTS, RAW, strict=True)]
    write_pcapng(path, packets, [Interface("client-r1", link_type)])
    found = read_capture(path)
    check(found)
    assert {packet.interface for packet in found.packets} == {"client-r1"}


def foreign_pcapng(order: str, resolution: bytes | None, offset: int) -> bytes:
    """Written block by block from the format's description, apart from our writer."""

    def block(kind: int, body: bytes) -> bytes:
        body += bytes(-len(body) % 4)
        return (
            struct.pack(f"{order}II", kind, len(body) + 12) + body + struct.pack(f"{order}I", len(body) + 12)
        )

    out = block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1))
    options = b"" if resolution is None else struct.pack(f"{order}HH", 9, 1) + resolution + bytes(3)
    if offset:
        options += struct.pack(f"{order}HHq", 14, 8, offset)
    out += block(1, struct.pack(f"{order}HHI", RAW_IP, 0, 0) + options + (bytes(4) if options else b""))
    out += block(0x0BAD, b"someone's own block")
    units = {None: 10**6, b"\x09": 10**9, b"\x94": 1 << 20}[resolution]
    for (time, _, _), data in zip(SEGMENTS, RAW, strict=True):
        ticks = (time - offset * 10**9) * units // 10**9
        head = struct.pack(f"{order}IIIII", 0, ticks >> 32, ticks & 0xFFFF_FFFF, len(data), len(data))
        out += block(6, head + data)
    return out


@pytest.mark.parametrize("offset", [0, 1_000_000])
@pytest.mark.parametrize("resolution", [None, b"\x09"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_foreign_pcapng(order: str, resolution: bytes | None, offset: int, tmp_path: Path) -> None:
    check(read(tmp_path, foreign_pcapng(order, resolution, offset)))


def test_binary_resolution(tmp_path: Path) -> None:
    found = read(tmp_path, foreign_pcapng("<", b"\x94", 0))
    for packet, (time, _, _) in zip(found.packets, SEGMENTS, strict=True):
        assert 0 <= time - packet.time < 1000


def test_dropped_packets_are_marked(tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    write_pcapng(path, [CapturedPacket(1, RAW[0], "queue"), CapturedPacket(2, RAW[0])])
    assert [packet.dropped for packet in read_capture(path).packets] == ["queue", None]


def test_payloads_cut_short_keep_their_length(tmp_path: Path) -> None:
    found = read(tmp_path, classic(RAW, snap=100))
    assert [len(packet.segment.payload) for packet in found.packets] == [
        len(segment.payload) for _, segment, _ in SEGMENTS
    ]
    assert not all(packet.whole for packet in found.packets)
    (connection,) = connections(found.packets)
    assert (connection.profile, connection.bytes) == ("v1", (300, 500))


def test_what_is_no_tcp_is_counted(tmp_path: Path) -> None:
    arp = MACS + b"\x08\x06" + bytes(28)
    udp = bytearray(ethernet(RAW[0]))
    udp[14 + 9] = 17
    packets = [arp, bytes(udp), *(ethernet(data) for data in RAW[2:])]
    found = read(tmp_path, classic(packets, ETHERNET))
    assert found.frames == len(SEGMENTS)
    assert len(found.packets) == len(SEGMENTS) - 2
    assert found.left_out == {"no IP packet": 1, "protocol 17, not TCP": 1}


def test_headers_cut_short_are_counted(tmp_path: Path) -> None:
    """Without the flags nothing can be said; with them, options alone are unknown (test_incomplete.py)."""
    found = read(tmp_path, classic(RAW, snap=33))
    assert not found.packets
    assert found.left_out == {"headers not captured": len(RAW)}


def test_segments_over_64_kilobytes_say_length_zero(tmp_path: Path) -> None:
    packets = [data[:2] + b"\0\0" + data[4:] for data in RAW]
    assert [packet.segment for packet in read(tmp_path, classic(packets)).packets] == without_contents(
        SEGMENTS
    )


def hops(path: Path, lost: int | None) -> None:
    """Each packet on two links, a router between them; packet number `lost` goes missing on the second."""
    out: list[CapturedPacket] = []
    for number, (time, segment, _) in enumerate(SEGMENTS):
        up = segment.dport == 20080
        near, far = (0, 1) if up else (1, 0)
        routed = encode(replace(segment, hop_limit=63))
        out.append(CapturedPacket(time, encode(segment), None, near))
        out.append(CapturedPacket(time + 1_000_000, routed, "random" if number == lost else None, far))
    write_pcapng(path, out, [Interface("client-r1"), Interface("r1-server")])


def test_a_packet_seen_on_two_links_is_one_packet(tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    hops(path, lost=2)
    found = read_capture(path).packets
    assert [packet.segment for packet in found] == without_contents(SEGMENTS)
    assert [packet.dropped for packet in found] == [None, None, "random", *[None] * (len(SEGMENTS) - 3)]
    assert all(packet.arrived - packet.time == 1_000_000 for packet in found)


def test_captures_of_two_links_may_be_two_files(tmp_path: Path) -> None:
    together = tmp_path / "both.pcapng"
    hops(together, lost=3)
    paths = []
    for place in ("client-r1", "r1-server"):
        path = tmp_path / f"{place}.pcapng"
        with path.open("wb") as stream:
            writer = CaptureWriter(stream)
            for packet in _sightings(together, place):
                writer.packet(*packet)
        paths.append(path)
    found = read_capture(*paths).packets
    assert [packet.segment for packet in found] == without_contents(SEGMENTS)
    assert [number for number, packet in enumerate(found) if packet.dropped] == [3]


def _sightings(path: Path, place: str) -> list[tuple[int, bytes, str | None]]:
    return [
        (frame.time, frame.data, frame.comments[0].removeprefix("dropped: ") if frame.comments else None)
        for frame in frames(path)
        if frame.interface == place
    ]


def test_a_retransmission_on_one_link_stays_a_packet_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    write_pcapng(path, [CapturedPacket(1, RAW[0]), CapturedPacket(2, RAW[0])])
    assert len(read_capture(path).packets) == 2


# -- files that are no captures -----------------------------------------------------------------------


PCAPNG = io.BytesIO()
_writer = CaptureWriter(PCAPNG)
HEADS = PCAPNG.getvalue()  # section and interface
HEAD_ENDS = (int.from_bytes(HEADS[4:8], "little"), len(HEADS))
BLOCK_ENDS = []
for _time, _data in zip((time for time, _, _ in SEGMENTS), RAW, strict=True):
    _writer.packet(_time, _data, "random")
    BLOCK_ENDS.append(PCAPNG.tell())
WHOLE = PCAPNG.getvalue()


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_capture(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "expected" in message
    return message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty file"),
        (b"not a capture at all", "offset 0: 6e 6f 74 20"),
        (b"\x0a", "offset 0: 0a"),
        (classic(RAW)[:20], "offset 0: truncated; expected a file header of 24 bytes, found 20"),
        (classic(RAW, link_type=147), "offset 24: link type 147; expected one of: "),
        (classic(RAW)[:24] + b"\xff" * 16, "offset 24: a packet of 4294967295 bytes"),
        (WHOLE[:10], "offset 0: truncated; expected a whole block, found 10 bytes"),
        (WHOLE + bytes(32), f"offset {len(WHOLE)}: "),
        (WHOLE[:8] + b"\0\0\0\0" + WHOLE[12:], "offset 0: "),
    ],
)
def test_what_is_no_capture(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "a.cap"
    path.write_bytes(content)
    assert words in refusal(path)


def test_no_file(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "absent.pcap")
    assert "Is a directory" in refusal(tmp_path)


def attempt(path: Path) -> Capture | str:
    try:
        return read_capture(path)
    except UserError as error:
        return str(error)


@UNLIMITED
@given(st.integers(0, len(WHOLE)))
def test_a_pcapng_cut_anywhere(tmp_path: Path, cut: int) -> None:
    """Read up to the cut, with a warning that says where; refused when not even the file's head is there."""
    path = tmp_path / "cut.pcapng"
    path.write_bytes(WHOLE[:cut])
    found = attempt(path)
    if isinstance(found, str):
        assert found.startswith(f"{path}: offset 0: ")
        assert cut < HEAD_ENDS[0]
        return
    assert [packet.segment for packet in found.packets] == without_contents(SEGMENTS)[: len(found.packets)]
    assert len(found.packets) == sum(end <= cut for end in BLOCK_ENDS)
    at_an_end = cut in BLOCK_ENDS or cut in HEAD_ENDS
    assert [line.startswith(f"{path}: offset ") for line in found.warnings] == [True] * (not at_an_end)


@UNLIMITED
@given(st.data())
def test_a_damaged_file_is_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from((WHOLE, classic(RAW))))
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(4, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged"
    path.write_bytes(damaged)
    found = attempt(path)
    if isinstance(found, str):
        assert found.startswith(f"{path}: ")
    else:
        connections(found.packets)


@UNLIMITED
@given(st.binary(max_size=200), st.sampled_from((0, 1, 12, 108, 113, 276)))
def test_any_frame_is_read_or_left_out(tmp_path: Path, frame: bytes, link_type: int) -> None:
    path = tmp_path / "frame"
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, link_type)
    path.write_bytes(head + struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame)
    assert read_capture(path).frames == 1
