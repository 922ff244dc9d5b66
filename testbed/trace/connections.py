"""Packets -> MPTCP connections: flows joined by token, their keys, profile, verdict and bytes.

Decides which flows are subflows of one connection, and puts together what handshake.py, judge.py and
data.py find out. A flow without MPTCP is a connection of its own, profile `tcp`; so is a joined subflow
whose connection is not in the capture, profile `ambiguous`.
Read first: RFC 8684 §3.1-§3.2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from testbed.mptcp.reasons import Reason, Verdict
from testbed.mptcp.wire import ACK, RST, SYN, MpJoinSynAck
from testbed.trace.closing import DATA_FIN, OPEN, closed_by
from testbed.trace.data import data_bytes, stream_bytes
from testbed.trace.derive import SHA1, SHA256
from testbed.trace.flows import Address, Flow, split_flows
from testbed.trace.handshake import Handshake, dss, hash_of, join_syn, profile_of, read_handshake
from testbed.trace.judge import End, Judgement, both
from testbed.trace.packets import Packet

DRAFT_VERSION = 2  # the testbed's own choice; the draft leaves the number to the IETF

Pair = tuple[int | None, int | None]


@dataclass(frozen=True, slots=True)
class Subflow:
    """`kind`: initial or join. `address_id` and `backup` are those that the joining SYN named."""

    flow: Flow
    kind: str
    address_id: int
    backup: bool
    established: bool

    @property
    def initiator(self) -> Address:
        return self.flow.initiator

    @property
    def listener(self) -> Address:
        return self.flow.listener


@dataclass(frozen=True, slots=True)
class Connection:
    """Pairs are (initiator's, listener's). `ends`: the two judgements, None for an end that never had a
    connection. `bytes`: what arrived in order, the initiator's first. Times in ns."""

    profile: str
    initiator: Address
    listener: Address
    keys: Pair
    tokens: Pair
    idsns: Pair
    subflows: tuple[Subflow, ...]
    verdict: Verdict
    reason: Reason
    ends: tuple[Judgement | None, Judgement | None]
    bytes: tuple[int, int]
    closed_by: str
    checksum: bool
    start: int

    @property
    def flows(self) -> tuple[Flow, ...]:
        return tuple(subflow.flow for subflow in self.subflows)

    @property
    def packets(self) -> list[Packet]:
        return sorted(
            (packet for flow in self.flows for packet in flow.packets), key=lambda packet: packet.time
        )


def connections(packets: Sequence[Packet], draft_version: int = DRAFT_VERSION) -> list[Connection]:
    """Every connection of the capture, in the order in which they begin.

    `draft_version` is the version nibble that the draft profile uses on this wire.
    """
    groups: list[tuple[Handshake, list[Flow]]] = []
    by_token: dict[int, list[Flow]] = {}
    for flow in split_flows(packets):
        wanted = [join.token for packet in flow.packets if (join := join_syn(packet.segment))]
        members = by_token.get(wanted[0]) if wanted else None
        if members is not None:
            members.append(flow)
            continue
        handshake = read_handshake(flow)
        members = [flow]
        groups.append((handshake, members))
        for key in handshake.keys:
            if key is not None:
                for hash_ in (SHA1, SHA256):
                    by_token[hash_.token(key)] = members
    return [_connection(handshake, flows, draft_version) for handshake, flows in groups]


def _connection(handshake: Handshake, flows: list[Flow], draft_version: int) -> Connection:
    first = flows[0]
    profile = profile_of(handshake, flows, draft_version)
    hash_ = hash_of(profile)
    tokens: Pair = (None, None)
    idsns: Pair = (None, None)
    if hash_ is not None:
        tokens = _derived(handshake.keys, hash_.token)
        idsns = _derived(handshake.keys, hash_.idsn)
    mptcp = handshake.version is not None or any(dss(packet.segment) for packet in first.packets)
    closed = closed_by(flows, handshake.keys, mptcp=mptcp)
    survives = len(flows) > 1 and closed in (DATA_FIN, OPEN)
    client, server = (End(first, side, handshake, idsns) for side in (0, 1))
    ends = client.judge(survives=survives), server.judge(survives=survives)
    verdict = both(*ends)
    if mptcp and handshake.version is None and verdict.verdict is Verdict.TCP:
        verdict = Judgement(Verdict.MPTCP)  # its handshake is not in the capture, its signals are
    mapped = mptcp and not client.fell_back and not server.fell_back
    return Connection(
        profile=profile,
        initiator=first.initiator,
        listener=first.listener,
        keys=handshake.keys,
        tokens=tokens,
        idsns=idsns,
        subflows=tuple(_subflow(flow, index == 0) for index, flow in enumerate(flows)),
        verdict=verdict.verdict,
        reason=verdict.reason,
        ends=ends,
        bytes=_bytes(flows, idsns, mapped),
        closed_by=closed,
        checksum=handshake.checksum,
        start=first.start,
    )


def _derived(keys: Pair, derive: Callable[[int], int]) -> Pair:
    first, second = keys
    return None if first is None else derive(first), None if second is None else derive(second)


def _bytes(flows: list[Flow], idsns: Pair, mapped: bool) -> tuple[int, int]:
    if mapped:
        return data_bytes(flows, 0, idsns[0]), data_bytes(flows, 1, idsns[1])
    return stream_bytes(flows[0], 0), stream_bytes(flows[0], 1)


def _subflow(flow: Flow, first: bool) -> Subflow:
    join = next((found for packet in flow.packets if (found := join_syn(packet.segment))), None)
    answered = any(
        packet.segment.flags & (SYN | ACK | RST) == SYN | ACK
        and (join is None or any(isinstance(option, MpJoinSynAck) for option in packet.segment.options))
        for packet in flow.packets
    )
    refused = any(packet.segment.flags & RST for packet in flow.packets) and not any(
        packet.segment.payload for packet in flow.packets
    )
    return Subflow(
        flow,
        "initial" if first and join is None else "join",
        0 if join is None else join.address_id,
        join is not None and join.backup,
        (answered or not flow.seen_open) and not refused,
    )


def to_json(connection: Connection) -> dict[str, object]:
    """The object that `testbed trace --json` prints: keys, tokens and IDSNs in hex, initiator first.

    What the capture does not tell is null. `bytes`: from the initiator, from the listener.
    """
    return {
        "profile": connection.profile,
        "initiator": _address(connection.initiator),
        "listener": _address(connection.listener),
        "keys": [_hex(key, 16) for key in connection.keys],
        "tokens": [_hex(token, 8) for token in connection.tokens],
        "idsns": [_hex(idsn, 16) for idsn in connection.idsns],
        "subflows": [
            {
                "kind": subflow.kind,
                "initiator": _address(subflow.initiator),
                "listener": _address(subflow.listener),
                "address_id": subflow.address_id,
                "backup": subflow.backup,
                "established": subflow.established,
            }
            for subflow in connection.subflows
        ],
        "verdict": connection.verdict.value,
        "reason": connection.reason.value,
        "bytes": list(connection.bytes),
        "closed_by": connection.closed_by,
    }


def _address(address: Address) -> dict[str, object]:
    return {"address": str(ip_address(address[0])), "port": address[1]}


def _hex(value: int | None, digits: int) -> str | None:
    return None if value is None else f"{value:0{digits}x}"
