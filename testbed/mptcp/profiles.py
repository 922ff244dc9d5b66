"""What the profiles differ in: version nibble, hash, where the keys travel.

Decides these constants and which profile an arriving SYN speaks. Everything else that differs is a
rule, and stands with its RFC section where it is applied.
Read first: RFC 6824 §3.1, draft-paasch-mptcp-syncookies-02 §3.1.1, RFC 8684 §3.1.
"""

from __future__ import annotations

from dataclasses import dataclass

from testbed.errors import UserError
from testbed.mptcp.config import MptcpConfig, Profile
from testbed.mptcp.wire import MpCapable
from testbed.mptcp.wire.mptcp_options import FLAG_EXTENSIBILITY, FLAG_HMAC


@dataclass(frozen=True, slots=True)
class Speech:
    """`key_in_syn`: the initiator's key travels in the SYN, and data carries no MP_CAPABLE."""

    profile: Profile
    version: int
    sha256: bool
    key_in_syn: bool


def own(*profiles: Profile) -> None:
    """UserError for the profile that is none of this stack's."""
    if Profile.KERNEL in profiles:
        raise UserError(
            "profile kernel: that is the machine's own MPTCP, which takes part in experiments in a lab "
            "(testbed run --net mininet); this stack speaks v0, draft, v1 and tcp"
        )


def speech(profile: Profile, config: MptcpConfig) -> Speech:
    if profile is Profile.V0:
        return Speech(profile, 0, sha256=False, key_in_syn=True)
    if profile is Profile.DRAFT:
        return Speech(profile, config.draft_version, sha256=False, key_in_syn=False)
    return Speech(profile, 1, sha256=True, key_in_syn=False)


def profile_of_version(version: int, config: MptcpConfig, offered: tuple[Profile, ...]) -> Profile | None:
    """The offered MPTCP profile with this version nibble."""
    for profile in offered:
        if profile is not Profile.TCP and speech(profile, config).version == version:
            return profile
    return None


def usable(option: MpCapable) -> bool:
    """Whether the flags allow MPTCP at all: B clear, and a HMAC that we know (RFC 8684 §3.1)."""
    return not option.flags & FLAG_EXTENSIBILITY and bool(option.flags & FLAG_HMAC)
