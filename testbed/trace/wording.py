"""A segment in words: flags, relative numbers, and every MPTCP option spelled out.

Decides how options read in a ladder. Numbers are relative where their zero is known: sequence numbers to
the ISN, DSNs and DATA_ACKs to the IDSN, so that the first byte of data is 1 at both levels; otherwise
they stand in hex. The digit behind DSN and DATA_ACK is their length in bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

from testbed.mptcp.wire import (
    ACK,
    SYN,
    AddAddr,
    Dss,
    FastOpen,
    Malformed,
    MaximumSegmentSize,
    MpCapable,
    MpFail,
    MpFastclose,
    MpJoinAck,
    MpJoinSyn,
    MpJoinSynAck,
    MpPrio,
    MpTcpRst,
    Option,
    RemoveAddr,
    Sack,
    SackPermitted,
    Timestamps,
    UnknownOption,
    UnknownSubtype,
    WindowScale,
)
from testbed.mptcp.wire.mptcp_options import FLAG_CHECKSUM, FLAG_EXTENSIBILITY, FLAG_HMAC, FLAG_NO_JOIN_HERE
from testbed.mptcp.wire.segment import FLAG_LETTERS
from testbed.mptcp.wire.sequence import MASK32, dsn_diff, seq_diff
from testbed.trace.flows import Flow, Step
from testbed.trace.packets import Packet

_FLAG_NAMES = {"S": "SYN", "F": "FIN", "R": "RST", "P": "PSH", "U": "URG", ".": "ACK"}
_RST_REASONS = (
    "unspecified",
    "MPTCP error",
    "no resources",
    "prohibited",
    "too much outstanding data",
    "unacceptable performance",
    "middlebox interference",
)


@dataclass(frozen=True, slots=True)
class Zeros:
    """What the numbers of a segment count from: its flow's ISNs, the sender's and the peer's IDSN."""

    flow: Flow
    own_idsn: int | None
    peer_idsn: int | None


def flag_letters(flags: int) -> str:
    """tcpdump's notation, for example `S.` or `P.`."""
    return "".join(letter for bit, letter in FLAG_LETTERS if flags & bit) or "none"


def flag_names(flags: int) -> str:
    """For example `PSH/ACK`."""
    return "/".join(_FLAG_NAMES[letter] for bit, letter in FLAG_LETTERS if flags & bit) or "no flags"


def number_words(step: Step) -> str:
    """For example `1:301 ack 1 len 300`."""
    packet, _, start, acked = step
    words = f"{start}"
    if packet.length:
        words += f":{start + packet.length}"
    if packet.flags & ACK:
        words += f" ack {acked}"
    if packet.length:
        words += f" len {packet.length}"
    return words


def option_words(packet: Packet, zeros: Zeros) -> tuple[tuple[str, ...], str]:
    """Each option of MPTCP, and those of TCP together; time stamps only where they are agreed on."""
    mptcp: list[str] = []
    tcp: list[str] = []
    for option in packet.options:
        if isinstance(option, Timestamps):
            if packet.flags & SYN:
                tcp.append("TS")
            continue
        plain = _tcp_words(option, packet, zeros.flow)
        if plain is None:
            mptcp.append(_mptcp_words(option, zeros))
        else:
            tcp.append(plain)
    if not packet.complete:
        tcp.append("options cut")
    return tuple(mptcp), " ".join(tcp)


def _tcp_words(option: Option, packet: Packet, flow: Flow) -> str | None:
    """None for an option of MPTCP."""
    if isinstance(option, MaximumSegmentSize):
        return f"MSS {option.value}"
    if isinstance(option, WindowScale):
        return f"WS {option.shift}"
    if isinstance(option, SackPermitted):
        return "SACK-ok"
    if isinstance(option, Sack):
        base = flow.isn[1 if flow.upward(packet) else 0] or 0
        blocks = ",".join(
            f"{(left - base) & MASK32}:{(right - base) & MASK32}" for left, right in option.blocks
        )
        return f"SACK {blocks}"
    if isinstance(option, FastOpen):
        return f"TFO cookie {option.cookie.hex()}" if option.cookie else "TFO request"
    if isinstance(option, UnknownOption):
        return f"option {option.kind}"
    if isinstance(option, Malformed) and option.kind != 30:
        return f"malformed option {option.kind}: {option.why}"
    return None


def _mptcp_words(option: Option, zeros: Zeros) -> str:
    if isinstance(option, MpCapable):
        return _capable(option)
    if isinstance(option, Dss):
        return _dss(option, zeros)
    if isinstance(option, MpJoinSyn):
        return f"MP_JOIN id {option.address_id} token {option.token:08x} nonce {option.nonce:08x}" + _backup(
            option
        )
    if isinstance(option, MpJoinSynAck):
        words = f"MP_JOIN id {option.address_id} HMAC {_short(option.hmac.hex())} nonce {option.nonce:08x}"
        return words + _backup(option)
    if isinstance(option, MpJoinAck):
        return f"MP_JOIN HMAC {_short(option.hmac.hex())}"
    if isinstance(option, AddAddr):
        return _add_addr(option)
    if isinstance(option, RemoveAddr):
        return "REMOVE_ADDR id " + ",".join(str(each) for each in option.address_ids)
    if isinstance(option, MpPrio):
        return "MP_PRIO" + ("" if option.address_id is None else f" id {option.address_id}") + _backup(option)
    if isinstance(option, MpFail):
        return f"MP_FAIL {_data_number('DSN', option.dsn, True, zeros.peer_idsn)}"
    if isinstance(option, MpFastclose):
        return f"MP_FASTCLOSE key {_short(f'{option.receiver_key:016x}')}"
    if isinstance(option, MpTcpRst):
        known = option.reason < len(_RST_REASONS)
        why = _RST_REASONS[option.reason] if known else f"reason {option.reason}"
        return f"MP_TCPRST {why}" + (" transient" if option.transient else "")
    if isinstance(option, UnknownSubtype):
        return f"MPTCP subtype {option.subtype:#x} ({len(option.raw)} bytes)"
    if isinstance(option, Malformed):
        return f"malformed MPTCP option {option.raw.hex()}: {option.why}"
    return str(option)


def _capable(option: MpCapable) -> str:
    words = f"MP_CAPABLE v{option.version}"
    if option.receiver_key is not None:
        words += f" keys {_short(f'{option.sender_key:016x}')} {_short(f'{option.receiver_key:016x}')}"
    elif option.sender_key is not None:
        words += f" key {_short(f'{option.sender_key:016x}')}"
    if option.data_length is not None:
        words += f" data {option.data_length}"
    if option.checksum is not None:
        words += f" csum {option.checksum:04x}"
    for flag, word in (
        (FLAG_CHECKSUM, " +checksum"),
        (FLAG_EXTENSIBILITY, " +B"),
        (FLAG_NO_JOIN_HERE, " +C"),
    ):
        if option.flags & flag:
            words += word
    return words if option.flags & FLAG_HMAC else words + " no-HMAC"


def _dss(option: Dss, zeros: Zeros) -> str:
    words = ["DSS"]
    if option.data_ack is not None:
        words.append(_data_number("DATA_ACK", option.data_ack, option.data_ack_8, zeros.peer_idsn))
    if option.dsn is not None:
        words.append(_data_number("DSN", option.dsn, option.dsn_8, zeros.own_idsn))
        words.append(f"SSN {option.ssn}")
        words.append(f"len {option.length}" if option.length else "infinite mapping")
        if option.checksum is not None:
            words.append(f"csum {option.checksum:04x}")
    if option.data_fin:
        words.append("DATA_FIN")
    return " ".join(words)


def _data_number(name: str, number: int, wide: bool, idsn: int | None) -> str:
    if idsn is None:
        return f"{name}8 {_short(f'{number:016x}')}" if wide else f"{name}4 {number:08x}"
    if wide:
        return f"{name}8 {dsn_diff(number, idsn)}"
    return f"{name}4 {seq_diff(number, idsn & MASK32)}"


def _add_addr(option: AddAddr) -> str:
    address = str(ip_address(option.address))
    if option.port is not None:
        address = f"[{address}]:{option.port}" if len(option.address) == 16 else f"{address}:{option.port}"
    words = f"ADD_ADDR id {option.address_id} {address}"
    if option.echo:
        return words + " echo"
    return words if option.hmac is None else f"{words} HMAC {_short(option.hmac.hex())}"


def _backup(option: MpJoinSyn | MpJoinSynAck | MpPrio) -> str:
    return " backup" if option.backup else ""


def _short(digits: str) -> str:
    return digits[:8] + "…"
