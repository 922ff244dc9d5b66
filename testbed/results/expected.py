"""What the closed form says of a cell, where its assumptions hold.

Decides when they do. Of every cell: independent loss on the way up, and nothing else that loses, doubles or
damages packets or holds them back, but `reorder` up for requests of one segment; requests, in HTTP or not,
and no traffic beside them but SYN floods, which a server with cookies answers and forgets. Then one of two:

- a server that always answers with cookies, and a client that sends MP_CAPABLE with its first data, or speaks
  second (testbed/model/fallback.py). Linux may be either end, in v1: its client sends a bare third ACK, and
  MP_CAPABLE with its first data (RFC 8684 §3.1); its server believes the key that comes back with either, and
  answers a later segment with RST;
- a server that keeps state and answers what came in a SYN, and a client that tries Fast Open with every
  connection, whose request fits the SYN (testbed/model/fast_open.py); our stack at both ends, or Linux as
  client of a server of ours that waits for the key in v1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from testbed.model import Prediction, predict, predict_fast_open, predict_linux_fast_open
from testbed.mptcp.config import SECOND
from testbed.units import parse_time

LOSS = "paths.*.loss.up"
HELD = "paths.*.reorder.up"
PAYLOAD = 1424  # bytes of a full segment that carries timestamps and a DSS with 64-bit numbers
SYN_ROOM = 1420  # bytes of data beside 40 of options
WINDOW = 10  # segments
KERNEL = "kernel"
DISTURBING = {"loss", "burst", "blackout", "drop", "duplicate", "corrupt", "reorder", "red", "jitter_order"}
DISTURBING |= {"middlebox", "at"}
LEAST_HOLD, MOST_HOLD = 1_000_000, 100_000_000  # ns: longer than a request takes, sooner than it goes again
LONG = 60 * SECOND  # by then Linux has given up by itself

Settings = Mapping[str, Any]


def applies(settings: Settings) -> bool:
    """Whether a closed form's assumptions hold for a cell's settings."""
    return _undisturbed(settings) and (_is_stateless(settings) or _opens_fast(settings))


def closed_form(
    settings: Settings, loss: float | None = None, held: float | None = None
) -> Prediction | None:
    """The odds for a cell's settings; None where none are known.

    `loss` and `held` (back): other shares than the cell's own, 0..1.
    """
    if not applies(settings):
        return None
    client, server, workload = settings["client"], settings["server"], settings["workload"]
    profile = "v1" if client["profile"] == KERNEL else client["profile"]
    p = settings["network"].get(LOSS, 0) / 100 if loss is None else loss
    r = settings["network"].get(HELD, 0) / 100 if held is None else held
    if _opens_fast(settings):
        if client["profile"] == KERNEL:
            return predict_linux_fast_open(p, client["syn_retries"], syns=_syns(settings))
        return predict_fast_open(
            profile,
            p,
            response=-(-workload["response"] // PAYLOAD),
            syn_retries=client["syn_retries"],
            repeat_keys=client["mptcp"]["repeat_keys"],
            syns=_syns(settings),
        )
    return predict(
        profile,
        p,
        segments=-(-workload["request"] // PAYLOAD),
        syn_retries=client["syn_retries"],
        isn_recovery=server["mptcp"]["isn_recovery"],
        third_ack=client["third_ack"],
        held=r,
        syns=_syns(settings),
        lone_after=2 if client["profile"] == KERNEL else 1,
    )


def _undisturbed(settings: Settings) -> bool:
    network = settings["network"]
    disturbed = {key for key in network if set(key.split(".")) & DISTURBING} - {LOSS}
    if disturbed == {HELD}:
        holds = [parse_time(value) for key, value in network.items() if ".hold" in key]
        overtakes = all(LEAST_HOLD <= hold <= MOST_HOLD for hold in holds)
        disturbed -= {HELD} if overtakes and settings["workload"]["request"] <= PAYLOAD else set()
    return not (
        disturbed
        or any(entry.get("syn_flood") is None for entry in settings.get("traffic", ()))
        or settings["workload"]["type"] == "bulk"
        or any(set(name.split("_")) & DISTURBING for name in settings["topology"])
        or settings["topology"].get("name") == "middlebox"
    )


def _is_stateless(settings: Settings) -> bool:
    client, server = settings["client"], settings["server"]
    if client["profile"] == KERNEL:
        spoken = {"v1", KERNEL} & set(server["profiles"])
    elif KERNEL in server["profiles"]:
        spoken = {client["profile"]} & {"v1", "tcp"}
    else:
        spoken = {client["profile"]} & set(server["profiles"])
    return bool(
        server["syn_cookies"] == "always"
        and spoken
        and client["first_data"] == "capable"
        and not client["fast_open"]
        and (KERNEL not in (client["profile"], *server["profiles"]) or _patience(settings) >= LONG)
    )


def _opens_fast(settings: Settings) -> bool:
    client, server, workload = settings["client"], settings["server"], settings["workload"]
    if client["profile"] == KERNEL:
        ends = ("v1", "auto")
        by_itself = (2 ** client["tcp"]["syn_attempts"] - 1) * SECOND  # Linux gives up, at the latest
        waits = _patience(settings) >= min(by_itself, LONG)
    else:
        ends, waits = (client["profile"], "at_once"), True
    return bool(
        server["syn_cookies"] == "off"
        and client["fast_open"]
        and server["fast_open"]
        and not client["fast_open_pauses"]
        and ends[0] in server["profiles"]
        and ends[1] == server["fast_open_answer"]
        and waits
        and KERNEL not in server["profiles"]
        and client["third_ack"] == "bare"
        and 0 < workload["request"] <= SYN_ROOM
        and 0 < workload["response"] <= WINDOW * PAYLOAD
        and HELD not in settings["network"]
        and [client["tcp"][key] for key in ("rto_min", "delayed_ack")] == ["200ms", "40ms"]
        and server["tcp"]["rto_initial"] == "1s"
    )


def _patience(settings: Settings) -> int:
    return parse_time(settings["workload"]["timeout"])


def _syns(settings: Settings) -> int:
    """How many a client sends before nobody waits any longer (RFC 6298 §5.5: twice as long each time)."""
    tcp = settings["client"]["tcp"]
    at, gap, count = 0, parse_time(tcp["rto_initial"]), 0
    if settings["client"]["profile"] == KERNEL:
        return int(tcp["syn_attempts"])
    while at < _patience(settings) and count < tcp["syn_attempts"]:
        at, gap, count = at + gap, min(2 * gap, parse_time(tcp["rto_max"])), count + 1
    return count
