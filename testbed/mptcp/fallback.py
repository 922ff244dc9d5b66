"""Where fallback is decided: an observation and a situation in; stay, fall back or reset, and why, out.

The only place that does. Everything else in the protocol reports what it saw and carries out the
decision. Pure: knows no connection, no packet, no time.
Read first: RFC 8684 §3.1, §3.3, §3.7; RFC 6824 §3.6; draft-paasch-mptcp-syncookies-02 §2, §3.1.6.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from testbed.mptcp.config import LostThirdAck, Profile
from testbed.mptcp.reasons import Reason

# MP_TCPRST reason codes (RFC 8684 §3.6).
RST_MPTCP_ERROR = 1
RST_RESOURCES = 2
RST_PROHIBITED = 3
RST_MIDDLEBOX = 6


class Observation(Enum):
    """What can be seen on one subflow that may end MPTCP."""

    SYNACK_WITHOUT_CAPABLE = "SYN/ACK without a usable MP_CAPABLE"
    SYNACK_OTHER_VERSION = "SYN/ACK with a version that was not offered"
    SYNACK_TO_PLAIN_SYN = "SYN/ACK for a SYN that was resent without MP_CAPABLE"
    SIMULTANEOUS_OPEN = "a SYN in answer to our SYN"
    PEER_WANTS_CHECKSUM = "the peer asks for checksums and this host refuses them"
    SYN_WITHOUT_CAPABLE = "SYN without an MP_CAPABLE that an offered profile speaks"
    TOKEN_IN_USE = "token already in use"
    FIRST_PACKET_WITHOUT_CAPABLE = "first in-order packet after the SYN/ACK without MP_CAPABLE"
    FIRST_PACKET_WITH_DSS = "the same, but with a DSS"
    FIRST_PACKET_WITH_DATA_ACK = "the same, with a DATA_ACK of data that was sent before it (Fast Open)"
    COOKIE_WITHOUT_CAPABLE = "packet that brings back a SYN cookie, without the client's key"
    COOKIE_KEY_MISMATCH = "packet that brings back a SYN cookie, with another server key"
    ACK_WITHOUT_DATA_ACK = "acknowledgement of data without a DATA_ACK"
    DATA_WITHOUT_MAPPING = "data without a mapping"
    MAPPING_OVERDUE = "a receive window of data without a mapping"
    MAPPING_CONTRADICTS = "mapping that contradicts an earlier one"
    CHECKSUM_WRONG = "wrong DSS checksum"
    CHECKSUM_MISSING = "mapping without the negotiated checksum"
    CHECKSUM_UNEXPECTED = "mapping with a checksum that was not negotiated"
    MP_FAIL = "MP_FAIL"
    INFINITE_MAPPING = "infinite mapping"
    MAPPING_AFTER_FALLBACK = "mapping that moves bytes of a connection that has fallen back"
    DATA_ACK_OVERDUE = "data that subflows acknowledged again and again, without a DATA_ACK for it"
    FIN_WITHOUT_DATA_FIN = "FIN of the subflow without a DATA_FIN"
    DATA_FIN_UNANSWERED = "DATA_FIN without an answer"


class Action(Enum):
    STAY = "stay"
    FALL_BACK = "fall back"
    RESET = "reset"


@dataclass(frozen=True, slots=True)
class Situation:
    """What the decision may depend on."""

    profile: Profile
    confirmed: bool = False  # a DATA_ACK of the peer was seen
    acknowledged: bool = False  # one that came with an acknowledgement of data
    peer_maps: bool = False  # a mapping of the peer came here in a DSS
    only_subflow: bool = True
    never_joined: bool = True  # this is the first subflow, and no second one was ever open
    contiguous: bool = True  # no data of either direction is missing before the place in question
    unmapped: bool = False  # bytes wait here for a mapping: the peer will map them again elsewhere
    in_step: bool = True  # all mappings of the peer from here on agree with plain TCP's order of bytes
    failed: bool = False  # a checksum was wrong here and the peer has been told by MP_FAIL
    unconfirmed_acks: int = 0  # acknowledgements of data in a row without a DATA_ACK, this one included
    lost_third_ack: LostThirdAck = LostThirdAck.KEEP


@dataclass(frozen=True, slots=True)
class Decision:
    action: Action
    reason: Reason = Reason.NONE
    rst_code: int | None = None  # for MP_TCPRST, RFC 8684 only
    send_infinite: bool = False  # tell the peer by an infinite mapping
    send_fail: bool = False  # tell the peer by MP_FAIL


STAY = Decision(Action.STAY)
_TELL_BY_MP_FAIL = Decision(Action.STAY, Reason.CHECKSUM_FAILED, send_fail=True)
VANISHED_AFTER = 3  # acknowledgements in a row; one alone may have lost its options


def decide(observation: Observation, situation: Situation) -> Decision:
    """The whole fallback table (RFC 8684 §3.7 unless a row says otherwise)."""
    rule = _after_a_failure(observation) if situation.failed else _RULES[observation]
    decision = rule(situation)
    if decision.action is Action.FALL_BACK and not situation.in_step:
        return _reset(situation, decision.reason, RST_MIDDLEBOX)  # its bytes would come in another order
    return decision


def _after_a_failure(observation: Observation) -> Callable[[Situation], Decision]:
    """The peer decides, by its infinite mapping or by anything else that is plain TCP.

    Until then DSS goes on both ways: Linux 6.18 sends no more if our infinite mapping comes before its own,
    and goes on with DSS itself if it has nothing more to send.
    """
    if observation is Observation.CHECKSUM_WRONG:
        return lambda situation: _TELL_BY_MP_FAIL  # again: the first may be lost
    if observation is Observation.MP_FAIL:
        return lambda situation: STAY  # the echo
    if observation in _NEVER_PLAIN_TCP:
        return _RULES[observation]
    return _plain_tcp_after_a_failure


def _plain_tcp_after_a_failure(situation: Situation) -> Decision:
    if not situation.contiguous:
        return _reset(situation, Reason.CHECKSUM_FAILED, RST_MIDDLEBOX)
    return Decision(Action.FALL_BACK, Reason.CHECKSUM_FAILED, send_infinite=True)


def _fall_back(reason: Reason) -> Callable[[Situation], Decision]:
    """Before any data: the connection simply is plain TCP (RFC 8684 §3.1)."""
    return lambda situation: Decision(Action.FALL_BACK, reason)


def _reset(situation: Situation, reason: Reason, code: int, *, send_fail: bool = False) -> Decision:
    """MP_TCPRST came with RFC 8684 §3.6; before it, a reset says nothing."""
    rst_code = code if situation.profile is Profile.V1 else None
    return Decision(Action.RESET, reason, rst_code, send_fail=send_fail)


def _first_packet_with_dss(situation: Situation) -> Decision:
    """The third ACK was lost. v0 knows Key-A from the SYN; the others have no key.

    RFC 6824 §3.1 lets the third packet decide; read to the letter that means TCP.
    """
    if situation.profile is Profile.V0 and situation.lost_third_ack is LostThirdAck.KEEP:
        return STAY
    return Decision(Action.FALL_BACK, Reason.THIRD_ACK_WITHOUT_CAPABLE)


def _first_packet_with_data_ack(situation: Situation) -> Decision:
    """v0's client has our key and takes our mappings, and we know its key: MPTCP works both ways. It will not
    fall back any more, so neither may we (RFC 6824 §3.6)."""
    return STAY if situation.profile is Profile.V0 else _first_packet_with_dss(situation)


def _ack_without_data_ack(situation: Situation) -> Decision:
    """Seen at the start it means that the peer, or the path, speaks plain TCP. A DATA_ACK that came before
    we had sent anything does not speak against that.

    A mapping with it does: one ACK may have lost its options, so more of them are waited for. While bytes
    wait for a mapping nothing falls back: the peer would map them again, and plain TCP would take the second
    copy for new bytes.
    """
    if not situation.only_subflow:
        return _reset(situation, Reason.NO_DATA_ACK, RST_MIDDLEBOX)
    never_plain = situation.acknowledged or situation.unmapped
    speaks_mptcp = situation.peer_maps and situation.confirmed
    if (never_plain or speaks_mptcp) and situation.unconfirmed_acks < VANISHED_AFTER:
        return STAY
    if never_plain:
        return _reset(situation, Reason.OPTIONS_VANISHED, RST_MIDDLEBOX)
    return _missing_option(situation, Reason.NO_DATA_ACK)


def _data_without_mapping(situation: Situation) -> Decision:
    if situation.confirmed:
        return STAY  # a mapping may still come, here (RFC 8684 §3.3.1) or with the bytes sent again (§3.3.6)
    return _missing_option(situation, Reason.NO_MAPPING)


def _mapping_overdue(situation: Situation) -> Decision:
    """Of a peer that is not confirmed the first byte without a mapping would have been enough."""
    if situation.confirmed:
        return _reset(situation, Reason.MAPPING_NEVER_CAME, RST_MIDDLEBOX)
    return _missing_option(situation, Reason.NO_MAPPING)


def _missing_option(situation: Situation, reason: Reason) -> Decision:
    """Fall back only where all bytes of the connection have come on this one subflow in their order: the
    first one, as long as there never was a second (RFC 8684 §3.7; Linux obeys the second half, too)."""
    if situation.only_subflow and situation.never_joined and situation.contiguous:
        return Decision(Action.FALL_BACK, reason, send_infinite=True)
    return _reset(situation, reason, RST_MIDDLEBOX)


def _checksum_wrong(situation: Situation) -> Decision:
    """One subflow and nothing missing: MP_FAIL, and the bytes count as they are. Else they are lost: reset,
    MP_FAIL on it."""
    if situation.only_subflow and situation.contiguous:
        return _TELL_BY_MP_FAIL
    return _reset(situation, Reason.CHECKSUM_FAILED, RST_MIDDLEBOX, send_fail=True)


def _checksum_unexpected(situation: Situation) -> Decision:
    """RFC 6824 §3.3.1 ignores the field; RFC 8684 §3.3.1 resets."""
    if situation.profile is Profile.V1:
        return _reset(situation, Reason.CHECKSUM_UNEXPECTED, RST_MPTCP_ERROR)
    return STAY


def _mp_fail(situation: Situation) -> Decision:
    """The receiver of MP_FAIL goes on with an infinite mapping; RFC 8684 §3.7 has it echo the MP_FAIL."""
    if not situation.only_subflow or not situation.contiguous or situation.unmapped:
        return _reset(situation, Reason.MP_FAIL_RECEIVED, RST_MIDDLEBOX)
    echo = situation.profile is Profile.V1
    return Decision(Action.FALL_BACK, Reason.MP_FAIL_RECEIVED, send_infinite=True, send_fail=echo)


def _infinite_mapping(situation: Situation) -> Decision:
    """Only legal on the last subflow (RFC 8684 §3.7), and as the continuation of what was mapped before."""
    if not situation.only_subflow or not situation.contiguous:
        return _reset(situation, Reason.INFINITE_MAPPING_RECEIVED, RST_MPTCP_ERROR)
    return Decision(Action.FALL_BACK, Reason.INFINITE_MAPPING_RECEIVED)


# What only a peer that still maps can cause.
_NEVER_PLAIN_TCP = frozenset(
    {Observation.MAPPING_CONTRADICTS, Observation.MAPPING_AFTER_FALLBACK, Observation.DATA_ACK_OVERDUE}
)

_RULES: dict[Observation, Callable[[Situation], Decision]] = {
    Observation.SYNACK_WITHOUT_CAPABLE: _fall_back(Reason.NO_CAPABLE_IN_SYNACK),
    Observation.SYNACK_OTHER_VERSION: _fall_back(Reason.VERSION_NOT_OFFERED),
    Observation.SYNACK_TO_PLAIN_SYN: _fall_back(Reason.SYN_RETRIES_EXHAUSTED),
    Observation.SIMULTANEOUS_OPEN: _fall_back(Reason.SIMULTANEOUS_OPEN),
    Observation.PEER_WANTS_CHECKSUM: _fall_back(Reason.CHECKSUM_REFUSED),
    Observation.SYN_WITHOUT_CAPABLE: _fall_back(Reason.NO_CAPABLE_IN_SYN),
    Observation.TOKEN_IN_USE: _fall_back(Reason.TOKEN_COLLISION),
    Observation.FIRST_PACKET_WITHOUT_CAPABLE: _fall_back(Reason.THIRD_ACK_WITHOUT_CAPABLE),
    Observation.FIRST_PACKET_WITH_DSS: _first_packet_with_dss,
    Observation.FIRST_PACKET_WITH_DATA_ACK: _first_packet_with_data_ack,
    Observation.COOKIE_WITHOUT_CAPABLE: _fall_back(Reason.COOKIE_WITHOUT_KEY),
    Observation.COOKIE_KEY_MISMATCH: _fall_back(Reason.COOKIE_KEY_MISMATCH),
    Observation.ACK_WITHOUT_DATA_ACK: _ack_without_data_ack,
    Observation.DATA_WITHOUT_MAPPING: _data_without_mapping,
    Observation.MAPPING_OVERDUE: _mapping_overdue,
    Observation.MAPPING_CONTRADICTS: lambda s: _reset(s, Reason.MAPPING_CONTRADICTS, RST_MPTCP_ERROR),
    Observation.CHECKSUM_WRONG: _checksum_wrong,
    Observation.CHECKSUM_MISSING: lambda s: _reset(s, Reason.CHECKSUM_MISSING, RST_MPTCP_ERROR),
    Observation.CHECKSUM_UNEXPECTED: _checksum_unexpected,
    Observation.MP_FAIL: _mp_fail,
    Observation.INFINITE_MAPPING: _infinite_mapping,
    Observation.MAPPING_AFTER_FALLBACK: lambda s: _reset(s, Reason.MAPPING_CONTRADICTS, RST_MIDDLEBOX),
    Observation.DATA_ACK_OVERDUE: lambda s: _reset(s, Reason.DATA_ACK_OVERDUE, RST_MIDDLEBOX),
    Observation.FIN_WITHOUT_DATA_FIN: _data_without_mapping,  # a FIN is sequence space too
    Observation.DATA_FIN_UNANSWERED: lambda s: STAY,  # it goes again
}
