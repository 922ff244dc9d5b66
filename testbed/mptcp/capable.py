"""MP_CAPABLE: what a SYN/ACK or a third packet with it means, and when the client attaches it.

Decides the handshake of RFC 6824 §3.1, of the draft §3.1.1-§3.1.5 and of RFC 8684 §3.1. Pure: options
and values in, options and observations out. What follows from an observation is fallback.py's.
"""

from __future__ import annotations

from testbed.mptcp.config import MptcpConfig, Profile
from testbed.mptcp.fallback import Observation
from testbed.mptcp.profiles import Speech, usable
from testbed.mptcp.wire import MpCapable, Option
from testbed.mptcp.wire.mptcp_options import FLAG_CHECKSUM, FLAG_HMAC, FLAG_NO_JOIN_HERE


def find_capable(options: tuple[Option, ...]) -> MpCapable | None:
    for option in options:
        if isinstance(option, MpCapable):
            return option
    return None


def flags(checksum: bool, deny_join_initial: bool = False) -> int:
    """`deny_join_initial`: flag C of RFC 8684 §3.1, no more subflows to this address and port."""
    return FLAG_HMAC | (FLAG_CHECKSUM if checksum else 0) | (FLAG_NO_JOIN_HERE if deny_join_initial else 0)


def denies_join_initial(option: MpCapable, speech: Speech) -> bool:
    """Flag C: the sender's address and port are not to be joined (RFC 8684 §3.1)."""
    return speech.sha256 and bool(option.flags & FLAG_NO_JOIN_HERE)


def wants_checksum(option: MpCapable) -> bool:
    return bool(option.flags & FLAG_CHECKSUM)


def syn_option(speech: Speech, config: MptcpConfig, local_key: int) -> MpCapable:
    """12 bytes with the key in v0, 4 bytes in the draft and v1."""
    wants = flags(config.checksum, speech.sha256 and config.deny_join_initial)
    return MpCapable(speech.version, wants, local_key if speech.key_in_syn else None)


def judge_synack(
    option: MpCapable | None, speech: Speech, config: MptcpConfig, plain_syn: bool
) -> Observation | None:
    """What the client sees in the SYN/ACK; None: MPTCP it is. `plain_syn`: our last SYN had no option."""
    if option is None or not usable(option) or option.sender_key is None or option.receiver_key is not None:
        return Observation.SYNACK_TO_PLAIN_SYN if plain_syn else Observation.SYNACK_WITHOUT_CAPABLE
    if option.version != speech.version:
        return Observation.SYNACK_OTHER_VERSION
    if wants_checksum(option) and config.refuse_checksum:
        return Observation.PEER_WANTS_CHECKSUM
    return None


def client_key(
    option: MpCapable | None, speech: Speech, local_key: int, known: int | None = None
) -> int | None:
    """Key-A from a third packet (20 bytes or with data) that is meant for us, else None.

    A version other than the agreed one, flag B, another server key than ours, or another client key than
    the `known` one of a v0 SYN make the option count as absent (RFC 8684 §3.1; the draft §3.1.1 for the
    server's key).
    """
    if option is None or option.sender_key is None or option.receiver_key != local_key:
        return None
    if option.version != speech.version or not usable(option) or known not in (None, option.sender_key):
        return None
    return option.sender_key


def attach_to_ack(
    profile: Profile, *, repeat: bool, answers_synack: bool, data_sent: bool, confirmed: bool
) -> bool:
    """Whether a segment of the client without data carries both keys.

    draft §3.1.2: every one of them, as long as neither data with MP_CAPABLE was sent nor a DATA_ACK
    seen; RFC 8684 §3.1 allows the same. RFC 6824 §3.1, and all without `repeat`: only what answers the
    SYN/ACK.
    """
    if profile is Profile.V0 or not repeat:
        return answers_synack
    return not data_sent and not confirmed
