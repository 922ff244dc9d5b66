"""How often a client that opens fast loses Multipath TCP because its key is lost: a closed form.

Assumptions, all of them: the client has a Fast Open cookie and the whole request goes in the SYN; the server
keeps state, takes it, and sends its response of n segments, no more than its first window, behind the SYN/ACK
(RFC 7413 §4.2.2; RFC 8684 Appendix B); a round trip is far below 0.2 s; every client-to-server packet is lost
independently with probability p, none on the way back; the client closes when it has the response; a failure
does not make it pause Fast Open.

The draft and RFC 8684 have no key in the SYN, and here no data that could bring it later: only ACKs do. The
first of them to arrive decides.

- With the keys on every ACK until a DATA_ACK comes (draft §3.1.2), whichever arrives first brings them: 0.
- Said once, only the third ACK has them. Behind it come `a` ACKs with a DSS alone: one for every second
  segment, the last with the DATA_FIN, and that again after 0.2 and 0.6 s: a = ceil(n/2) + 2. After 1 s the
  server sends its SYN/ACK again, and what answers that has the keys. So the key is lost when the third ACK
  is and one of the others arrives, p (1 - p^a), or when all of them are lost and the second copy of the keys
  as well, p^(a+2): what comes then is the FIN, without them. (That a third copy may still come before it is
  left out: less than p^(a+3).)

A SYN that is lost goes again without data: an ordinary handshake, where the first data brings the key. RFC
6824 has the key in the SYN. So the key is lost with probability (1 - p) [p (1 - p^a) + p^(a+2)] in the draft
and v1, never in v0; and a plain SYN wins as in fallback.py. The first connections, which only ask for the
cookie, are left out: they lose no key.

Linux as the client, to a server that waits for the key (`predict_linux_fast_open`), says its keys again when
the SYN/ACK comes again. But the data of a lost SYN goes again with the keys and without a mapping, which is a
fallback: p, less the p^m of those that never connect. Unless that data is lost three times more, within the
second after which the server sends its SYN/ACK again: the answer to it has a DATA_ACK, after which data
without a mapping is no fallback, and is never delivered. That is a hang, p^3 (1 - p) of them.
"""

from __future__ import annotations

import math

from testbed.errors import UserError
from testbed.model.fallback import Prediction, check_share, check_syns

KEY_IN_SYN = {"v0": True, "draft": False, "v1": False}
WINDOW = 10  # segments of a first window (RFC 6928 §2)
FIN_COPIES = 2  # of the DATA_FIN, before the SYN/ACK goes again
DATA_COPIES = 3  # of Linux's data, before the SYN/ACK goes again


def predict_fast_open(
    profile: str,
    loss: float,
    response: int = 1,
    syn_retries: int = 2,
    *,
    repeat_keys: bool = True,
    syns: float = math.inf,
) -> Prediction:
    """Probabilities for a client that opens fast; `loss` is a fraction, client to server.

    `response`: its segments. `repeat_keys` False: the client says its key once. `syns` as in `predict`.
    """
    check_share("loss", loss)
    check_syns(syn_retries, syns)
    if profile != "tcp" and profile not in KEY_IN_SYN:
        raise UserError(f"profile: {profile!r} is none of tcp, {', '.join(KEY_IN_SYN)}")
    if not 1 <= response <= WINDOW:
        raise UserError(f"response: expected 1 to {WINDOW} segments, not {response}")
    none = loss**syns
    if profile == "tcp":
        return Prediction(0.0, 1 - none, 0.0, 0.0, none, 0.0, 0.0)
    by_syn = max(loss ** (syn_retries + 1) - none, 0.0)
    by_key = 0.0
    if not repeat_keys and not KEY_IN_SYN[profile]:
        acks = -(-response // 2) + FIN_COPIES
        by_key = (1 - loss) * (loss * (1 - loss**acks) + loss ** (acks + 2))
    fallback = by_syn + by_key
    return Prediction(1 - fallback - none, 0.0, fallback, 0.0, none, by_syn, by_key)


def predict_linux_fast_open(loss: float, syn_retries: int = 2, *, syns: float = math.inf) -> Prediction:
    """The same for Linux as the client, in v1, to a server of ours that waits for the key."""
    check_share("loss", loss)
    check_syns(syn_retries, syns)
    none = loss**syns
    by_syn = max(loss ** (syn_retries + 1) - none, 0.0)
    unmapped = loss - none - by_syn
    stuck = unmapped * loss**DATA_COPIES * (1 - loss)
    fallback = by_syn + unmapped - stuck
    return Prediction(1 - loss, 0.0, fallback, 0.0, none + stuck, by_syn, 0.0)
