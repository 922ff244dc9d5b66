"""What a wire or a middlebox does to a packet. Pure and seeded: simulator and real-time wire run the same."""

from testbed.link.boxes import BoxSpec, Way, parse_box
from testbed.link.exact import ExactDrop
from testbed.link.link import WAYS, Link
from testbed.link.model import Direction, Packet
from testbed.link.params import LinkParams
from testbed.link.rules import WORDS, DropRule, parse_drops, parse_rule
from testbed.link.streams import stream

__all__ = [
    "WAYS",
    "WORDS",
    "BoxSpec",
    "Direction",
    "DropRule",
    "ExactDrop",
    "Link",
    "LinkParams",
    "Packet",
    "Way",
    "parse_box",
    "parse_drops",
    "parse_rule",
    "stream",
]
