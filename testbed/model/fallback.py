"""How often a connection falls back or is reset when the server keeps no state: closed forms.

Assumptions, all of them: the server always answers with SYN cookies; every client-to-server packet
is lost independently with probability p, none on the way back; nothing is reordered and no queue
overflows; the client speaks first, sends n segments back to back (but see
`lone_segment_after_lost_syn`), and closes only after the whole response; only the first segment is
retransmitted, on its RTO; the cookie stays valid.

Then, with k MP_CAPABLE SYNs sent again before a plain one (RFC 8684 §3.9.3):

- the plain SYN wins with probability s = p^(k+1): fallback, whatever the profile;
- the *cookie bearer* is the packet that lets a stateless server rebuild the connection: the third
  ACK, else the first data segment (RFC 4987 §3.6). If neither arrives and a later segment does, the
  cookie cannot be checked and the answer is RST: R = p^2 (1 - p^(n-1)), or p (1 - p^(n-1)) where
  the data is the third ACK;
- RFC 6824 brings the client's key in the third ACK only: lost, the first data completes TCP and not
  MPTCP. draft-paasch-mptcp-syncookies and RFC 8684 §3.1 bring the key with the first data as well;
- the draft's §3.2 (and the same idea in v0) rebuilds the ISN from a DSS: no RST, except for
  connections that began with a plain SYN and so carry no DSS.

Left out as too rare to see: all seven SYNs lost (p^7), a segment lost fifteen times.
"""

from __future__ import annotations

from dataclasses import dataclass

from testbed.errors import UserError

PROFILES = ("tcp", "v0", "draft", "v1")
THIRD_ACKS = ("bare", "piggyback")


@dataclass(frozen=True, slots=True)
class Prediction:
    """Probabilities of one connection's verdict; `mptcp`, `tcp`, `fallback` and `reset` add up to 1.

    `fallback` has two causes: `by_syn` (the plain SYN won) and `by_key` (the client's key was lost).
    """

    mptcp: float
    tcp: float
    fallback: float
    reset: float
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
    lone_segment_after_lost_syn: bool = False,
) -> Prediction:
    """Probabilities for a stateless server; `loss` is a fraction, client to server.

    RFC 6824 has no room for MP_CAPABLE beside data (§3.6), so v0 sends a bare third ACK in any case.

    `lone_segment_after_lost_syn`: what a real stack adds for n > 1. After a lost SYN the window is one
    segment (RFC 5681 §3.1), so the first segment goes alone and nothing behind it can provoke a reset.
    """
    _check(profile, loss, segments, syn_retries, third_ack)
    p = loss
    together = _given_syn(profile, p, segments, isn_recovery, third_ack)
    again = _given_syn(profile, p, 1, isn_recovery, third_ack) if lone_segment_after_lost_syn else together
    if profile == "tcp":
        reset = (1 - p) * together.tcp_reset + p * again.tcp_reset
        return Prediction(mptcp=0.0, tcp=1 - reset, fallback=0.0, reset=reset, by_syn=0.0, by_key=0.0)
    plain_syn = p ** (syn_retries + 1)
    by_syn = plain_syn * (1 - again.tcp_reset)
    by_key = (1 - p) * together.key_lost + (p - plain_syn) * again.key_lost
    reset = (1 - p) * together.reset + (p - plain_syn) * again.reset + plain_syn * again.tcp_reset
    fallback = by_syn + by_key
    return Prediction(
        mptcp=1 - fallback - reset, tcp=0.0, fallback=fallback, reset=reset, by_syn=by_syn, by_key=by_key
    )


@dataclass(frozen=True, slots=True)
class _GivenSyn:
    """Probabilities once a SYN has arrived: with MP_CAPABLE, and (`tcp_reset`) without."""

    key_lost: float
    reset: float
    tcp_reset: float


def _given_syn(profile: str, p: float, n: int, isn_recovery: bool, third_ack: str) -> _GivenSyn:
    later_arrives = 1 - p ** (n - 1)
    bearer_lost = p if third_ack == "piggyback" else p * p
    tcp_reset = bearer_lost * later_arrives
    recovers = isn_recovery and profile in ("v0", "draft")
    if profile == "v0":
        reset = 0.0 if recovers else p * p * later_arrives
        return _GivenSyn(p - reset, reset, tcp_reset)
    return _GivenSyn(0.0, 0.0 if recovers else tcp_reset, tcp_reset)


def _check(profile: str, loss: float, segments: int, syn_retries: int, third_ack: str) -> None:
    if profile not in PROFILES:
        raise UserError(f"profile: {profile!r} is none of {', '.join(PROFILES)}")
    if third_ack not in THIRD_ACKS:
        raise UserError(f"third_ack: {third_ack!r} is none of {', '.join(THIRD_ACKS)}")
    if not 0 <= loss <= 1:
        raise UserError(f"loss: expected 0 to 100 percent, not {loss * 100:g} percent")
    if segments < 1:
        raise UserError(f"segments: expected 1 or more, not {segments}")
    if syn_retries < 0:
        raise UserError(f"syn_retries: expected 0 or more, not {syn_retries}")
