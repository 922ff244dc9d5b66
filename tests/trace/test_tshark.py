"""tshark as an independent witness: each MPTCP option of hand-made and simulated captures, field by field.

For the draft's version nibble tshark knows no hash and prints 0, so there the layout alone is compared.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from testbed.capture import CapturedPacket, write_pcapng
from testbed.mptcp.config import ClientConfig, MptcpConfig, Profile, ServerConfig
from testbed.mptcp.wire import (
    AddAddr,
    Dss,
    MpCapable,
    MpFail,
    MpFastclose,
    MpJoinAck,
    MpJoinSyn,
    MpJoinSynAck,
    MpPrio,
    MpTcpRst,
    RemoveAddr,
    Segment,
    decode,
    encode,
)
from testbed.trace import Packet, connections, read_capture
from tests.pair import Pair
from tests.trace.against import captured, request_and_response
from tests.trace.conversation import Timed, join, talk

pytestmark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")

OPTION = "tcp.options.mptcp."


def tshark(path: Path, *options: str) -> list[dict[str, list[str]]]:
    """Per packet: every field of its TCP and MPTCP layers, by name, all occurrences in their order."""
    command = ["tshark", "-r", str(path), "-T", "jsonraw", "-J", "tcp mptcp", "--no-duplicate-keys", *options]
    done = subprocess.run(
        [word if word != "jsonraw" else "json" for word in command],
        capture_output=True,
        text=True,
        check=True,
    )
    found = []
    for packet in json.loads(done.stdout):
        fields: dict[str, list[str]] = {}
        _gather(packet["_source"]["layers"], fields)
        found.append(fields)
    return found


def _gather(node: Any, fields: dict[str, list[str]]) -> None:
    if isinstance(node, dict):
        for name, value in node.items():
            if isinstance(value, str):
                fields.setdefault(name, []).append(value)
            elif isinstance(value, list) and all(isinstance(each, str) for each in value):
                fields.setdefault(name, []).extend(value)
            else:
                _gather(value, fields)
    elif isinstance(node, list):
        for each in node:
            _gather(each, fields)


def write(path: Path, segments: list[Timed]) -> list[Packet]:
    write_pcapng(path, [CapturedPacket(time, encode(segment), cause) for time, segment, cause in segments])
    return read_capture(path).packets


def expected(segment: Segment) -> dict[str, list[int]]:
    """What our decoder found, under tshark's names."""
    out: dict[str, list[int]] = {}

    def add(**fields: int | None) -> None:
        for name, value in fields.items():
            if value is not None:
                out.setdefault(name, []).append(value)

    for option in segment.options:
        if isinstance(option, MpCapable):
            add(subtype=0, version=option.version, flags=option.flags)
            add(sendkey=option.sender_key, recvkey=option.receiver_key)
            add(datalvllen=option.data_length, checksum=option.checksum)
        elif isinstance(option, MpJoinSyn):
            add(subtype=1, addrid=option.address_id, recvtok=option.token, sendrand=option.nonce)
        elif isinstance(option, MpJoinSynAck):
            add(subtype=1, addrid=option.address_id, sendrand=option.nonce)
            add(sendtrunchmac=int.from_bytes(option.hmac, "big"))
        elif isinstance(option, MpJoinAck):
            add(subtype=1, sendhmac=int.from_bytes(option.hmac, "big"))
        elif isinstance(option, Dss):
            add(subtype=2, rawdataack=option.data_ack, rawdataseqno=option.dsn)
            if option.dsn is not None:
                # tshark 4.0 leaves the checksum of a DSS out; the option's length shows that it is there.
                add(subflowseqno=option.ssn, datalvllen=option.length)
        elif isinstance(option, AddAddr):
            add(subtype=3, addrid=option.address_id, port=option.port)
            if option.version == 1:
                add(echo=int(option.echo))
                if option.hmac is not None:
                    add(addaddrtrunchmac=int.from_bytes(option.hmac, "big"))
        elif isinstance(option, RemoveAddr):
            add(subtype=4)
        elif isinstance(option, MpPrio):
            add(subtype=5)
        elif isinstance(option, MpFail):
            add(subtype=6)
        elif isinstance(option, MpFastclose):
            add(subtype=7, recvkey=option.receiver_key)
        elif isinstance(option, MpTcpRst):
            add(subtype=8, rst_reason=option.reason)
    return out


def number(text: str) -> int:
    if ":" in text:
        return int(text.replace(":", ""), 16)
    return int(text, 0)


def hold_against(path: Path, packets: list[Packet]) -> list[dict[str, list[str]]]:
    """Every field that our decoder knows, on every packet."""
    witness = tshark(path)
    assert len(witness) == len(packets)
    for packet, fields in zip(packets, witness, strict=True):
        for name, values in expected(packet.segment).items():
            found = [number(text) for text in fields.get(OPTION + name, [])]
            assert found == values, f"frame {packet.frame}: {name}: tshark {found}, ours {values}"
        lengths = [len(option.encode()) for option in packet.segment.options]
        assert [number(text) for text in fields.get("tcp.option_len", [])] == lengths, f"frame {packet.frame}"
        assert not [name for name in fields if "malformed" in name], f"frame {packet.frame}"
    return witness


def hold_keys(packets: list[Packet], witness: list[dict[str, list[str]]], draft_version: int = 2) -> None:
    """tokens and IDSNs that tshark derives from the keys it sees."""
    (found,) = connections(packets, draft_version)
    tokens: set[int] = set()
    idsns: set[int] = set()
    for fields in witness:
        tokens |= {number(text) for text in fields.get("mptcp.expected_token", [])}
        idsns |= {number(text) for text in fields.get("mptcp.expected_idsn", [])}
    assert set(found.tokens) == tokens - {0}
    assert set(found.idsns) == idsns - {0}


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("checksum", [True, False])
@pytest.mark.parametrize("profile", ["v0", "draft", "v1"])
def test_hand_made_connections(profile: str, checksum: bool, wide: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    packets = write(path, talk(profile, checksum=checksum, wide=wide).segments)
    witness = hold_against(path, packets)
    if profile != "draft":
        hold_keys(packets, witness)


@pytest.mark.parametrize("profile", ["v0", "draft", "v1"])
def test_joins_and_addresses(profile: str, tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    packets = write(path, join(profile, timestamps=False).segments)
    witness = hold_against(path, packets)
    if profile != "draft":
        hold_keys(packets, witness)
        streams = {text for fields in witness for text in fields.get("mptcp.stream", [])}
        assert streams == {"0"}, "tshark puts both subflows in one connection, as we do"


@pytest.mark.parametrize("profile", ["v0", "v1"])
def test_tshark_finds_no_wrong_checksum(profile: str, tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    write(path, talk(profile, ipv6=True).segments + talk(profile).segments)
    for fields in tshark(path, "-o", "tcp.check_checksum:TRUE"):
        assert fields["tcp.checksum.status"] == ["1"]


@pytest.mark.parametrize("checksum", [True, False])
@pytest.mark.parametrize("profile", [Profile.V0, Profile.DRAFT, Profile.V1])
def test_simulated_connections(profile: Profile, checksum: bool, tmp_path: Path) -> None:
    """The endpoints' own packets: options, tokens and IDSNs; for the draft the layout."""
    mptcp = MptcpConfig(checksum=checksum)
    pair = Pair(client=ClientConfig(profile=profile, mptcp=mptcp), server=ServerConfig(mptcp=mptcp))
    request_and_response(pair, 300, 20_000)
    path = tmp_path / "a.pcapng"
    (found,) = captured(pair, path)
    packets = read_capture(path).packets
    witness = hold_against(path, packets)
    if profile is not Profile.DRAFT:
        hold_keys(packets, witness)
    assert found.bytes == (300, 20_000)


OTHERS = (
    MpPrio(True),
    MpPrio(False, 3),
    MpFail(0x0102030405060708),
    MpFastclose(0x1122334455667788),
    RemoveAddr((1, 2)),
    AddAddr(0, 1, bytes((10, 1, 2, 2)), 8080),
    AddAddr(0, 1, bytes(15) + b"\1"),
    AddAddr(1, 1, bytes((10, 1, 2, 2)), 8080, False, bytes(range(8))),
    AddAddr(1, 1, bytes(15) + b"\1", 8080, True),
    MpTcpRst(4, True),
)


@pytest.mark.parametrize("option", OTHERS, ids=lambda option: type(option).__name__)
def test_rarer_options(option: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    made = talk("v0" if getattr(option, "version", 1) == 0 else "v1")
    time, last, _ = made.segments[4]
    made.segments[4:] = [(time, replace(last, options=(option,), payload=b""), None)]
    packets = write(path, made.segments)
    hold_against(path, packets)
    assert isinstance(decode(encode(packets[-1].segment)), Segment)
