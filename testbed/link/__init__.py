"""What a wire or a middlebox does to a packet. Pure and seeded: simulator and real-time wire run the same."""

from testbed.link.boxes import BOXES, BoxSpec, Way, parse_box, parse_boxes
from testbed.link.exact import ExactDrop
from testbed.link.link import WAYS, Link
from testbed.link.losses import flip_bit
from testbed.link.model import Direction, Packet
from testbed.link.params import Change, LinkParams, params_from_plain
from testbed.link.rules import WORDS, DropRule, parse_drops, parse_rule
from testbed.link.streams import stream

__all__ = [
    "BOXES",
    "WAYS",
    "WORDS",
    "BoxSpec",
    "Change",
    "Direction",
    "DropRule",
    "ExactDrop",
    "Link",
    "LinkParams",
    "Packet",
    "Way",
    "flip_bit",
    "parse_box",
    "parse_boxes",
    "parse_drops",
    "params_from_plain",
    "parse_rule",
    "stream",
]
