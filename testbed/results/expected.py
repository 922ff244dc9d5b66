"""What the closed form says of a cell, where its assumptions hold.

Decides when they do: a server that always answers with cookies, a client that speaks first and sends
MP_CAPABLE with its first data, independent loss on the way up and nothing else that loses, doubles or
reorders packets. Read first: testbed/model/fallback.py.
"""

from __future__ import annotations

from typing import Any

from testbed.model import Prediction, predict

LOSS = "paths.*.loss.up"
PAYLOAD = 1424  # bytes of a full segment that carries timestamps and a DSS with 64-bit numbers


def applies(settings: dict[str, Any]) -> bool:
    """Whether the closed form's assumptions hold for a cell's settings."""
    network = settings["network"]
    disturbed = any(word in key for key in network for word in (".reorder", ".duplicate", ".drop"))
    return bool(
        settings["server"]["syn_cookies"] == "always"
        and settings["workload"]["request"] > 0
        and "kernel" not in (settings["client"]["profile"], *settings["server"]["profiles"])
        and settings["client"]["first_data"] == "capable"
        and [key for key in network if ".loss" in key] in ([], [LOSS])
        and not disturbed
        and not any("loss" in parameter for parameter in settings["topology"])
    )


def closed_form(settings: dict[str, Any], loss: float | None = None) -> Prediction | None:
    """The odds for a cell's settings, at its own loss or another one (0..1); None where it does not hold."""
    if not applies(settings):
        return None
    client, server = settings["client"], settings["server"]
    return predict(
        client["profile"],
        settings["network"].get(LOSS, 0) / 100 if loss is None else loss,
        segments=-(-settings["workload"]["request"] // PAYLOAD),
        syn_retries=client["syn_retries"],
        isn_recovery=server["mptcp"]["isn_recovery"],
        third_ack=client["third_ack"],
        lone_segment_after_lost_syn=True,
    )
