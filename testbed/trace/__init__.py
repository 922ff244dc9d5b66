"""Packets -> connections, verdicts, reasons and ladders. The door of the room.

Judges from the wire alone what the endpoints say of themselves. Knows packets through `mptcp/wire`, the
vocabulary of verdicts and reasons from `mptcp/reasons.py`, and nothing else of the protocol.
"""

from testbed.trace.as_json import to_json
from testbed.trace.connections import DRAFT_VERSION, Connection, connections, each_connection
from testbed.trace.judge import Judgement
from testbed.trace.ladder import ladder
from testbed.trace.ladder_svg import ladder_svg
from testbed.trace.packets import Capture, Packet, from_segments, read_capture
from testbed.trace.subflows import Subflow

__all__ = [
    "DRAFT_VERSION",
    "Capture",
    "Connection",
    "Judgement",
    "Packet",
    "Subflow",
    "connections",
    "each_connection",
    "from_segments",
    "ladder",
    "ladder_svg",
    "read_capture",
    "to_json",
]
