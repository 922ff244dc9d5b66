"""Packets -> MPTCP connections: flows joined by token, their keys, profile, verdict and bytes.

Decides which flows are subflows of one connection, and puts together what handshake.py, judge.py and
data.py find out. A flow without MPTCP is a connection of its own. Joined subflows whose first subflow is not
in the capture are one connection where they name the same token, profile `ambiguous`: how it ended is unknown
unless a DATA_FIN or MP_FASTCLOSE says so, since other subflows may go on.
Read first: RFC 8684 §3.1-§3.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from testbed.mptcp.reasons import Reason, Verdict
from testbed.trace.closing import DATA_FIN, FASTCLOSE, Closing, closing_of
from testbed.trace.data import Delivered, data_bytes, stream_bytes
from testbed.trace.derive import SHA1, SHA256
from testbed.trace.evidence import joined, speaks
from testbed.trace.flows import Flow, split_flows
from testbed.trace.handshake import Handshake, hash_of, joins, profile_of, read_handshake
from testbed.trace.judge import UNKNOWN, End, Judgement, both
from testbed.trace.packets import HAS_DSS, Address, Packet
from testbed.trace.subflows import Subflow, subflow_of

DRAFT_VERSION = 2  # the testbed's own choice; the draft leaves the number to the IETF

Pair = tuple[int | None, int | None]


@dataclass(frozen=True, slots=True)
class Connection:
    """Pairs are (initiator's, listener's). `ends`: the two judgements, None for an end that never had a
    connection. `bytes`: what was seen and has arrived, the initiator's first; `unseen`: what was acknowledged
    without being in the capture. Times in ns."""

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
    unseen: tuple[int, int]
    closed_by: str
    checksum: bool
    start: int
    end: int

    @property
    def flows(self) -> tuple[Flow, ...]:
        return tuple(subflow.flow for subflow in self.subflows)

    @property
    def packets(self) -> list[Packet]:
        return sorted(
            (packet for flow in self.flows for packet in flow.packets), key=lambda packet: packet.time
        )


@dataclass(slots=True)
class _Group:
    """The flows of one connection; the first subflow, where it is captured, is the first of them."""

    flows: list[Flow]
    initial: bool


def connections(packets: Sequence[Packet], draft_version: int = DRAFT_VERSION) -> list[Connection]:
    """Every connection of the capture, in the order in which they begin.

    `draft_version` is the version nibble that the draft profile uses on this wire.
    """
    return list(each_connection(packets, draft_version))


def each_connection(packets: Sequence[Packet], draft_version: int = DRAFT_VERSION) -> Iterator[Connection]:
    """The same, one after the other: what is done with is not held."""
    until = max((packet.time for packet in packets), default=0)
    groups = _groups(split_flows(packets))
    groups.sort(key=lambda group: min(flow.start for flow in group.flows))
    groups.reverse()
    while groups:
        yield _connection(groups.pop(), draft_version, until)


def _groups(flows: Sequence[Flow]) -> list[_Group]:
    """A join belongs to the connection whose key gives its token: the last one that began before it.

    Where no key gives it, joins with the same token belong together.
    """
    groups: list[_Group] = []
    joining: list[tuple[Flow, int]] = []
    for flow in flows:
        wanted = joins(flow)
        if wanted:
            joining.append((flow, wanted[0].token))
        else:
            groups.append(_Group([flow], True))
    by_token: dict[int, list[tuple[_Group, bool]]] = {}  # whether it is the token of the initiator's key
    wanted_tokens = {token for _, token in joining}
    for group in groups if joining else ():
        for side, key in enumerate(read_handshake(group.flows[0]).keys):
            tokens = () if key is None else (SHA1.token(key), SHA256.token(key))
            for token in wanted_tokens.intersection(tokens):
                by_token.setdefault(token, []).append((group, side == 0))
    unmatched: dict[int, _Group] = {}
    for flow, token in joining:
        matches = by_token.get(token)
        if matches:
            group, reverse = _latest(matches, flow.start)
            if reverse:
                flow.flip()
            group.flows.append(flow)
        elif token in unmatched:
            unmatched[token].flows.append(flow)
        else:
            unmatched[token] = _Group([flow], False)
            groups.append(unmatched[token])
    return groups


def _latest(matches: list[tuple[_Group, bool]], time: int) -> tuple[_Group, bool]:
    for match in reversed(matches):
        if match[0].flows[0].start <= time:
            return match
    return matches[0]


def _connection(group: _Group, draft_version: int, until: int) -> Connection:
    flows = group.flows
    first = flows[0]
    handshake = read_handshake(first) if group.initial else Handshake()
    profile = profile_of(handshake, flows, draft_version)
    hash_ = hash_of(profile)
    tokens: Pair = (None, None)
    idsns: Pair = (None, None)
    if hash_ is not None:
        tokens = _derived(handshake.keys, hash_.token)
        idsns = _derived(handshake.keys, hash_.idsn)
    shown = speaks(flows, idsns)
    mptcp = not group.initial or handshake.version is not None or _any_dss(first)
    closing = closing_of(flows, handshake.keys, mptcp=mptcp)
    if not group.initial and closing.by not in (DATA_FIN, FASTCLOSE):
        closing = Closing()
    mapped = mptcp
    if group.initial:
        client = End(first, 0, handshake, idsns, shown=shown[0], until=until)
        first_end = client.judge(closing)
        fell_back = client.fell_back
        del client  # the two ends are not held at once: each has lists as long as the flow
        server = End(first, 1, handshake, idsns, shown=shown[1], until=until)
        ends = first_end, server.judge(closing)
        verdict = both(*ends)
        mapped = mptcp and not fell_back and not server.fell_back
    else:
        ends = _ends_of_joins(flows, handshake, idsns, closing)
        verdict = both(*ends)
    sent = [_bytes(flows, side, idsns[side], mapped) for side in (0, 1)]
    return Connection(
        profile=profile,
        initiator=first.initiator,
        listener=first.listener,
        keys=handshake.keys,
        tokens=tokens,
        idsns=idsns,
        subflows=tuple(
            subflow_of(flow, initial=group.initial and index == 0) for index, flow in enumerate(flows)
        ),
        verdict=verdict.verdict,
        reason=verdict.reason,
        ends=ends,
        bytes=(sent[0].seen, sent[1].seen),
        unseen=(sent[0].unseen, sent[1].unseen),
        closed_by=closing.by,
        checksum=handshake.checksum,
        start=min(flow.start for flow in flows),
        end=max(flow.packets[-1].time for flow in flows),
    )


def _ends_of_joins(
    flows: list[Flow], handshake: Handshake, idsns: Pair, closing: Closing
) -> tuple[Judgement | None, Judgement | None]:
    """A join that is answered with MP_JOIN, or carries data, shows a connection that speaks MPTCP."""
    if closing.by == FASTCLOSE and closing.flow is not None:
        client, server = (End(closing.flow, side, handshake, idsns).judge(closing) for side in (0, 1))
        return client, server
    judged = Judgement(Verdict.MPTCP) if any(joined(flow) for flow in flows) else UNKNOWN
    return judged, judged


def _any_dss(flow: Flow) -> bool:
    return any(packet.mptcp & HAS_DSS for packet in flow.packets)


def _derived(keys: Pair, derive: Callable[[int], int]) -> Pair:
    first, second = keys
    return None if first is None else derive(first), None if second is None else derive(second)


def _bytes(flows: list[Flow], side: int, idsn: int | None, mapped: bool) -> Delivered:
    if not mapped:
        return stream_bytes(flows[0], side)
    if any(flow.carried[side].options_cut for flow in flows):
        # The mappings are unknown: bytes of the subflows, among them perhaps copies of one another.
        streams = [stream_bytes(flow, side) for flow in flows]
        return Delivered(sum(each.seen for each in streams), sum(each.unseen for each in streams))
    return data_bytes(flows, side, idsn)
