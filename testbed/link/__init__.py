"""What a wire or a middlebox does to a packet. Pure and seeded: simulator and real-time wire run the same."""

from testbed.link.exact import ExactDrop
from testbed.link.model import Direction, Packet
from testbed.link.params import LinkParams
from testbed.link.rules import WORDS, DropRule, parse_drops, parse_rule
from testbed.link.streams import stream

__all__ = [
    "WORDS",
    "Direction",
    "DropRule",
    "ExactDrop",
    "LinkParams",
    "Packet",
    "parse_drops",
    "parse_rule",
    "stream",
]
