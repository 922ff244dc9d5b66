"""The MP_CAPABLE handshake of a flow, and the profile that it and the data speak.

Decides keys, and whether a connection is v0, draft, v1, plain tcp, or ambiguous: a capture shows a
version nibble, and the draft's has no number of its own. What settles it is the hash: data sequence
numbers start at the IDSN, SHA-1's in RFC 6824 and in the draft, SHA-256's in RFC 8684; and a join names
the token, of the one or of the other.
Read first: RFC 8684 §3.1, draft-paasch-mptcp-syncookies-02 §3.1.1 and §3.1.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from testbed.mptcp.wire import ACK, SYN, Dss, MpCapable, MpFastclose, MpJoinSyn
from testbed.mptcp.wire.mptcp_options import (
    FLAG_CHECKSUM,
    FLAG_EXTENSIBILITY,
    FLAG_HMAC,
    MP_FASTCLOSE,
    MP_JOIN,
)
from testbed.mptcp.wire.sequence import MASK32, dsn_diff
from testbed.trace.derive import SHA1, SHA256, Hash
from testbed.trace.flows import HANDSHAKE, Flow
from testbed.trace.packets import HAS_CAPABLE, Packet

TCP, V0, DRAFT, V1, AMBIGUOUS = "tcp", "v0", "draft", "v1", "ambiguous"

_NEAR = 1 << 40  # no capture holds more bytes of a connection; a stranger's IDSN is rarely this close
_NEAR_32 = 1 << 20


@dataclass(slots=True)
class Handshake:
    """`offered`: the versions in the SYNs. `version`: what the SYN/ACK answered or, failing that, what
    was offered first. `echoed`: the listener keys that came back in third ACKs or first data."""

    offered: list[int] = field(default_factory=list)
    plain_syn: bool = False
    version: int | None = None
    answered: bool = False
    initiator_key: int | None = None
    listener_key: int | None = None
    listener_keys: list[int] = field(default_factory=list)
    echoed: list[int] = field(default_factory=list)
    checksum: bool = False

    @property
    def keys(self) -> tuple[int | None, int | None]:
        return self.initiator_key, self.listener_key


def join_syn(packet: Packet) -> MpJoinSyn | None:
    return packet.mptcp_option(MpJoinSyn, MP_JOIN)


def fastclose(packet: Packet, flow: Flow, keys: tuple[int | None, int | None]) -> bool:
    """An MP_FASTCLOSE that counts: one with another key than the receiver's has no effect (RFC 8684 §3.5)."""
    if not packet.mptcp >> MP_FASTCLOSE & 1:
        return False
    receiver = keys[1 if flow.upward(packet) else 0]
    return any(
        isinstance(option, MpFastclose) and receiver in (None, option.receiver_key)
        for option in packet.options
    )


def usable(option: MpCapable | None) -> bool:
    """B clear and H set, or the option counts as absent (RFC 8684 §3.1)."""
    return option is not None and not option.flags & FLAG_EXTENSIBILITY and bool(option.flags & FLAG_HMAC)


def read_handshake(flow: Flow) -> Handshake:
    found = Handshake()
    for packet in flow.packets:
        kind = packet.flags & HANDSHAKE
        if not packet.mptcp & HAS_CAPABLE and not kind & SYN:
            continue
        option, up = packet.capable, flow.upward(packet)
        if kind == SYN:
            _syn(found, packet, option)
        elif kind == SYN | ACK and not up:
            _answer(found, packet, option)
        elif option is not None and up and option.sender_key is not None and option.receiver_key is not None:
            if found.version is None:
                found.version = option.version
            found.initiator_key = option.sender_key
            found.echoed.append(option.receiver_key)
            found.checksum = found.checksum or bool(option.flags & FLAG_CHECKSUM)
    if found.version is None and found.offered:
        found.version = found.offered[0]
    # A stateless listener may have answered several SYNs with several keys; the echo tells which counts.
    for key in found.echoed:
        if found.listener_key is None or key in found.listener_keys:
            found.listener_key = key
            break
    return found


def _syn(found: Handshake, packet: Packet, option: MpCapable | None) -> None:
    if option is None:
        if packet.complete:
            found.plain_syn = True
        return
    if option.version not in found.offered:
        found.offered.append(option.version)
    found.checksum = found.checksum or bool(option.flags & FLAG_CHECKSUM)
    if option.sender_key is not None:
        found.initiator_key = option.sender_key


def _answer(found: Handshake, packet: Packet, option: MpCapable | None) -> None:
    if option is None or option.sender_key is None or not usable(option):
        return
    found.listener_keys.append(option.sender_key)
    found.checksum = found.checksum or bool(option.flags & FLAG_CHECKSUM)
    if packet.dropped is None and not found.answered:
        found.answered, found.version = True, option.version
        found.listener_key = option.sender_key
    elif found.listener_key is None:
        found.listener_key = option.sender_key


def profile_of(handshake: Handshake, flows: Sequence[Flow], draft_version: int) -> str:
    """`flows`: the first subflow, then those that joined it. `ambiguous` where the capture does not tell."""
    if handshake.version is None:
        plain = handshake.plain_syn and not any(packet.mptcp for packet in flows[0].packets)
        return TCP if plain else AMBIGUOUS
    if handshake.version == 0:
        return V0
    hash_ = spoken_hash(handshake, flows)
    if handshake.version == draft_version:
        if hash_ is SHA256:
            return V1 if handshake.version == 1 else AMBIGUOUS
        return AMBIGUOUS if hash_ is None and handshake.version == 1 else DRAFT
    if handshake.version == 1:
        return DRAFT if hash_ is SHA1 else V1
    return DRAFT if hash_ is SHA1 else AMBIGUOUS


def hash_of(profile: str) -> Hash | None:
    return {V0: SHA1, DRAFT: SHA1, V1: SHA256}.get(profile)


def spoken_hash(handshake: Handshake, flows: Sequence[Flow]) -> Hash | None:
    """The hash from which tokens and data sequence numbers come, if any packet tells."""
    known = [key for key in handshake.keys if key is not None]
    if not known:
        return None
    joined = {join.token for flow in flows[1:] for join in joins(flow)}
    for hash_ in (SHA1, SHA256):
        if any(hash_.token(key) in joined for key in known):
            return hash_
    idsns = [[None if key is None else hash_.idsn(key) for key in handshake.keys] for hash_ in (SHA1, SHA256)]
    first = flows[0]
    for packet in first.packets:
        option = packet.dss
        if option is None:
            continue
        side = 0 if first.upward(packet) else 1
        for hash_, each in zip((SHA1, SHA256), idsns, strict=True):
            own, peer = each[side], each[1 - side]
            if own is not None and _starts_there(option, own, packet):
                return hash_
            if peer is not None and _acks_there(option, peer):
                return hash_
    return None


def joins(flow: Flow) -> list[MpJoinSyn]:
    return [join for packet in flow.packets if (join := join_syn(packet)) is not None]


def _starts_there(option: Dss, idsn: int, packet: Packet) -> bool:
    """Whether the mapping fits this IDSN: the first subflow's first byte has SSN 1 and IDSN + 1."""
    if option.dsn is None or not option.length:
        return False
    if option.dsn_8:
        return 0 < dsn_diff(option.dsn, idsn) < _NEAR
    return bool(packet.length) and (option.dsn - option.ssn - idsn) & MASK32 == 0


def _acks_there(option: Dss, idsn: int) -> bool:
    if option.data_ack is None:
        return False
    if option.data_ack_8:
        return 0 < dsn_diff(option.data_ack, idsn) < _NEAR
    return 0 < (option.data_ack - idsn) & MASK32 < _NEAR_32
