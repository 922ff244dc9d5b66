"""A connection as the object that `testbed trace --json` prints on a line.

Decides names, digits and order. What the capture does not tell is null. Pairs are the initiator's value, then
the listener's. Keys, tokens and IDSNs are in hex, times in ns since 1970, frame numbers those of the
connection's own file, counted from 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

from testbed.trace.connections import Connection
from testbed.trace.flows import Flow
from testbed.trace.judge import Judgement
from testbed.trace.packets import Address, Capture
from testbed.trace.subflows import Subflow


def to_json(connection: Connection, capture: Capture | None = None) -> dict[str, object]:
    """`capture`: adds which files it comes from and what of them was left out."""
    found: dict[str, object] = {
        "profile": connection.profile,
        "initiator": _address(connection.initiator),
        "listener": _address(connection.listener),
        "keys": [_hex(key, 16) for key in connection.keys],
        "tokens": [_hex(token, 8) for token in connection.tokens],
        "idsns": [_hex(idsn, 16) for idsn in connection.idsns],
        "subflows": [_subflow(subflow) for subflow in connection.subflows],
        "verdict": connection.verdict.value,
        "reason": connection.reason.value,
        "ends": [_end(judgement) for judgement in connection.ends],
        "bytes": list(connection.bytes),
        "bytes_not_captured": list(connection.unseen),
        "retransmissions": [sum(each.copies[side] for each in connection.subflows) for side in (0, 1)],
        "closed_by": connection.closed_by,
        **_span(connection.flows),
        "fast_open": _fast_open(connection.subflows[0]),
        "checksum": connection.checksum,
    }
    if capture is not None:
        found["capture"] = {
            "files": list(capture.files),
            "frames": capture.frames,
            "left_out": dict(capture.left_out),
            "warnings": list(capture.warnings),
        }
    return found


def _subflow(subflow: Subflow) -> dict[str, object]:
    reason = subflow.reset_reason
    return {
        "kind": subflow.kind,
        "initiator": _address(subflow.initiator),
        "listener": _address(subflow.listener),
        "address_id": subflow.address_id,
        "backup": subflow.backup,
        "established": subflow.established,
        "ended": subflow.ended,
        "reset_code": subflow.reset_code,
        "reset_reason": None if reason is None else reason.value,
        "bytes": list(subflow.bytes),
        "retransmissions": list(subflow.copies),
        **_span((subflow.flow,)),
    }


def _span(flows: Sequence[Flow]) -> dict[str, object]:
    """Times and frames of the first and the last packet, and how many there are."""
    first = min((flow.packets[0] for flow in flows), key=lambda packet: packet.time)
    last = max((flow.packets[-1] for flow in flows), key=lambda packet: packet.time)
    return {
        "start_ns": first.time,
        "end_ns": last.time,
        "first_frame": first.frame,
        "last_frame": last.frame,
        "packets": [sum(flow.carried[side].packets for flow in flows) for side in (0, 1)],
        "packets_with_options_cut": [
            sum(flow.carried[side].options_cut for flow in flows) for side in (0, 1)
        ],
    }


def _end(judgement: Judgement | None) -> dict[str, object] | None:
    """None for an end that never had a connection."""
    if judgement is None:
        return None
    frame = None if judgement.cause is None else judgement.cause.frame
    return {
        "verdict": judgement.verdict.value,
        "reason": judgement.reason.value,
        "at_ns": judgement.since,
        "frame": frame,
    }


def _fast_open(subflow: Subflow) -> dict[str, object]:
    found = subflow.fast_open
    return {"cookie": found.cookie, "sent": found.sent, "accepted": found.accepted}


def _address(address: Address) -> dict[str, object]:
    return {"address": str(ip_address(address[0])), "port": address[1]}


def _hex(value: int | None, digits: int) -> str | None:
    return None if value is None else f"{value:0{digits}x}"
