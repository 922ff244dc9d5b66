"""tshark against our decoder, on every TCP packet of captures of our own stack.

tshark derives token and IDSN from the keys with the hash of the version nibble. For a nibble that it does
not know, such as the draft's, it derives none, and the layout alone is compared.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from pcapng import FileScanner
from pcapng.blocks import EnhancedPacket

from testbed.mptcp.keys import token_and_idsn
from testbed.mptcp.wire import Dss, MpCapable, MpFastclose, Segment, Timestamps, decode
from tests.namespaces import why_no_lab
from tests.programs import Server, client
from tests.wiring import B, wire

pytestmark = [pytest.mark.lab, pytest.mark.skipif(why_no_lab() is not None, reason=str(why_no_lab()))]

PREFIX = "tcp.options.mptcp."
FIELDS = (
    *(PREFIX + name for name in ("subtype", "version", "sendkey", "recvkey", "rawdataack", "rawdataseqno")),
    *(PREFIX + name for name in ("subflowseqno", "datalvllen", "datafin.flag")),
    *(PREFIX + name for name in ("checksumreq.flags", "dataack8.flag", "dseqn8.flag")),
    *("mptcp.expected_token", "mptcp.expected_idsn", "tcp.seq_raw", "tcp.ack_raw", "tcp.flags", "tcp.len"),
    *("tcp.hdr_len", "tcp.options.timestamp.tsval", "tcp.options.timestamp.tsecr"),
)


def by_tshark(path: Path) -> list[dict[str, list[int]]]:
    """Field -> its values, packet by packet."""
    command = [
        "tshark",
        "-r",
        str(path),
        "-Y",
        "tcp",
        "-T",
        "fields",
        "-E",
        "separator=;",
        "-E",
        "occurrence=a",
    ]
    for field in FIELDS:
        command += ["-e", field]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    packets = []
    for line in out.splitlines():
        values = [[int(text, 0) for text in cell.split(",") if text] for cell in line.split(";")]
        packets.append(dict(zip(FIELDS, values, strict=True)))
    return packets


def by_us(path: Path) -> list[Segment]:
    with path.open("rb") as file:
        frames = [block.packet_data for block in FileScanner(file) if isinstance(block, EnhancedPacket)]
    decoded = [decode(frame[14:]) for frame in frames if frame[12:14] == b"\x08\x00"]
    return [segment for segment in decoded if isinstance(segment, Segment)]


def expected(segment: Segment) -> dict[str, list[int]]:
    """What tshark must say of a segment, from our own decoding of it."""
    fields: dict[str, list[int]] = {field: [] for field in FIELDS}

    def add(name: str, value: Any) -> None:
        if value is not None:
            fields[name].append(int(value))

    for option in segment.options:
        if isinstance(option, MpCapable):
            add(PREFIX + "subtype", 0)
            add(PREFIX + "version", option.version)
            add(PREFIX + "checksumreq.flags", option.flags >> 7)
            add(PREFIX + "sendkey", option.sender_key)
            add(PREFIX + "recvkey", option.receiver_key)
            add(PREFIX + "datalvllen", option.data_length)
            if option.sender_key is not None:
                known = option.version in (0, 1)
                token, idsn = token_and_idsn(option.sender_key, sha256=option.version == 1)
                add("mptcp.expected_token", token if known else 0)
                add("mptcp.expected_idsn", idsn if known else 0)
        elif isinstance(option, Dss):
            add(PREFIX + "subtype", 2)
            add(PREFIX + "datafin.flag", option.data_fin)
            add(PREFIX + "dataack8.flag", option.data_ack_8)
            add(PREFIX + "dseqn8.flag", option.dsn_8)
            add(PREFIX + "rawdataack", option.data_ack)
            if option.dsn is not None:
                add(PREFIX + "rawdataseqno", option.dsn)
                add(PREFIX + "subflowseqno", option.ssn)
                add(PREFIX + "datalvllen", option.length)
        elif isinstance(option, MpFastclose):
            add(PREFIX + "subtype", 7)
        elif isinstance(option, Timestamps):
            add("tcp.options.timestamp.tsval", option.value)
            add("tcp.options.timestamp.tsecr", option.echo)
    add("tcp.seq_raw", segment.seq)
    add("tcp.ack_raw", segment.ack)
    add("tcp.flags", segment.flags)
    add("tcp.len", len(segment.payload))
    add("tcp.hdr_len", segment.header_length - 20)
    return fields


@pytest.mark.parametrize("checksum", [False, True])
@pytest.mark.parametrize("profile", ["v0", "draft", "v1"])
def test_tshark_agrees_on_every_packet(tmp_path: Path, profile: str, checksum: bool) -> None:
    capture = tmp_path / "wire.pcapng"
    with wire(tmp_path, capture=str(capture)) as (a, b, running):
        server = Server(b)
        result = client(a, B, profile=profile, checksum=checksum, send=50_000, receive=50_000)
        assert (result["verdict"], server.result()["verdict"]) == ("mptcp", "mptcp")
        running.end()
    theirs, ours = by_tshark(capture), by_us(capture)
    assert len(ours) == len(theirs) >= 70  # 2 x 50,000 bytes
    for number, (segment, fields) in enumerate(zip(ours, theirs, strict=True)):
        assert fields == expected(segment), f"TCP packet {number}: {segment}"
    tokens = {token for fields in theirs for token in fields["mptcp.expected_token"]}
    assert len(tokens) == (1 if profile == "draft" else 2)
