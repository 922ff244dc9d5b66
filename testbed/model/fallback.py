"""How often a connection falls back, is reset or hangs when the server keeps no state: closed forms.

Assumptions, all of them: the server always answers with SYN cookies; every client-to-server packet
is lost independently with probability p, none on the way back; no queue overflows; the client speaks
first, sends n segments back to back (but see `lone_after`) behind a third ACK of its own, and closes only
after the whole response; only the first segment is retransmitted, on its RTO; the cookie stays valid. Or the
server speaks first, n = 0. Nothing is reordered, unless a share r is `held` back.

Then, with k MP_CAPABLE SYNs sent again before a plain one (RFC 8684 §3.9.3), of m SYNs in all:

- all SYNs are lost with probability p^m: a hang;
- a plain SYN wins with probability s = p^(k+1) - p^m: fallback, whatever the profile;
- the *cookie bearer* is the packet that lets a stateless server rebuild the connection: the third
  ACK, else the first data segment (RFC 4987 §3.6). If neither arrives and a later segment does, the
  cookie cannot be checked and the answer is RST: R = p^2 (1 - p^(n-1)), or p (1 - p^(n-1)) where
  the data is the third ACK. With n = 0 nothing else bears the cookie, and nothing asks for it again: the
  client waits for a server that knows nothing of it, with probability p;
- RFC 6824 brings the client's key in the third ACK only: lost, the first data completes TCP and not
  MPTCP. draft-paasch-mptcp-syncookies and RFC 8684 §3.1 bring the key with the first data as well;
- what is held back is overtaken by what is not. With n = 1, that is the third ACK (held, r) by the data (not
  held, 1 - r): as if it were lost, where both arrive. Two packets held keep their order;
- the draft's §3.2 (and the same idea in v0) rebuilds the ISN from a DSS: no RST, except for
  connections that began with a plain SYN and so carry no DSS.

Left out as too rare to see: a segment lost fifteen times, or as often as takes longer than the client waits;
a tail loss probe that sends the last segment before the first (Linux): no more than p^(n+1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from testbed.errors import UserError

PROFILES = ("tcp", "v0", "draft", "v1")
THIRD_ACKS = ("bare", "piggyback")


@dataclass(frozen=True, slots=True)
class Prediction:
    """Probabilities of one connection's verdict; all of them but the last two add up to 1.

    `fallback` has two causes: `by_syn` (the plain SYN won) and `by_key` (the client's key was lost). Where
    Linux opens fast, the rest of it is data without a mapping.
    """

    mptcp: float
    tcp: float
    fallback: float
    reset: float
    hang: float
    by_syn: float
    by_key: float


def predict(
    profile: str,
    loss: float,
    segments: int = 1,
    syn_retries: int = 2,
    *,
    isn_recovery: bool = False,
    third_ack: str = "bare",
    held: float = 0.0,
    syns: float = math.inf,
    lone_after: float = math.inf,
) -> Prediction:
    """Probabilities for a stateless server; `loss` and `held` are fractions, client to server.

    `segments`: of the client's request; 0: the server speaks first. RFC 6824 has no room for MP_CAPABLE
    beside data (§3.6), so v0 sends a bare third ACK in any case.

    `syns`: how many a client sends before it gives up, by itself or because nobody waits longer.

    `lone_after`: what a real stack adds for n > 1. After so many lost SYNs the window is one segment: 1 by
    RFC 5681 §3.1, 2 in Linux. Then the first segment goes alone and nothing behind it can provoke a reset.
    """
    _check(profile, loss, segments, syn_retries, third_ack, held, syns)
    p = loss
    together = _given_syn(profile, p, segments, isn_recovery, third_ack, held)
    again = _given_syn(profile, p, min(segments, 1), isn_recovery, third_ack, held)
    none = p**syns
    capable = p ** min(syn_retries + 1, syns)  # all SYNs with MP_CAPABLE are lost
    alone = p ** min(lone_after, syns)
    if profile == "tcp":
        reset = (1 - alone) * together.tcp_reset + (alone - none) * again.tcp_reset
        hang = none + (1 - none) * together.hang
        return Prediction(0.0, 1 - reset - hang, 0.0, reset, hang, 0.0, 0.0)
    # Four ways for a SYN to arrive: with MP_CAPABLE or without, before the window is small or after.
    late = max(capable - alone, 0.0)
    ways = (
        (1 - max(capable, alone), together, True),
        (max(alone - capable, 0.0), again, True),
        (late, together, False),
        (capable - none - late, again, False),
    )
    by_key = sum(odds * said.key_lost for odds, said, is_capable in ways if is_capable)
    by_syn = sum(odds * (1 - said.tcp_reset - said.hang) for odds, said, is_capable in ways if not is_capable)
    reset = sum(odds * (said.reset if is_capable else said.tcp_reset) for odds, said, is_capable in ways)
    hang = none + (1 - none) * together.hang
    fallback = by_syn + by_key
    return Prediction(1 - fallback - reset - hang, 0.0, fallback, reset, hang, by_syn, by_key)


@dataclass(frozen=True, slots=True)
class _GivenSyn:
    """Probabilities once a SYN has arrived: with MP_CAPABLE, and (`tcp_reset`) without. `hang`: both."""

    key_lost: float
    reset: float
    tcp_reset: float
    hang: float


def _given_syn(profile: str, p: float, n: int, isn_recovery: bool, third_ack: str, held: float) -> _GivenSyn:
    if n == 0:
        return _GivenSyn(0.0, 0.0, 0.0, hang=p)
    later_arrives = 1 - p ** (n - 1)
    bearer_lost = p if third_ack == "piggyback" else p * p
    tcp_reset = bearer_lost * later_arrives
    recovers = isn_recovery and profile in ("v0", "draft")
    if profile == "v0":
        reset = 0.0 if recovers else p * p * later_arrives
        overtaken = (1 - p) ** 2 * held * (1 - held)
        return _GivenSyn(p - reset + overtaken, reset, tcp_reset, 0.0)
    return _GivenSyn(0.0, 0.0 if recovers else tcp_reset, tcp_reset, 0.0)


def _check(
    profile: str, loss: float, segments: int, syn_retries: int, third_ack: str, held: float, syns: float
) -> None:
    if profile not in PROFILES:
        raise UserError(f"profile: {profile!r} is none of {', '.join(PROFILES)}")
    if third_ack not in THIRD_ACKS:
        raise UserError(f"third_ack: {third_ack!r} is none of {', '.join(THIRD_ACKS)}")
    check_share("loss", loss)
    check_share("held", held)
    if segments < 0:
        raise UserError(f"segments: expected 0 (the server speaks first) or more, not {segments}")
    if held and segments > 1:
        raise UserError(f"held: known for one segment, or none; not for {segments}")
    check_syns(syn_retries, syns)


def check_share(name: str, share: float) -> None:
    """UserError unless it is a fraction."""
    if not 0 <= share <= 1:
        raise UserError(f"{name}: expected 0 to 100 percent, not {share * 100:g} percent")


def check_syns(syn_retries: int, syns: float) -> None:
    if syn_retries < 0:
        raise UserError(f"syn_retries: expected 0 or more, not {syn_retries}")
    if syns < 1:
        raise UserError(f"syns: expected 1 or more, not {syns:g}")
