"""What a wire or a middlebox does to a packet. Pure and seeded: simulator and real-time wire run the same."""

from testbed.link.params import LinkParams
from testbed.link.rules import WORDS, DropRule, parse_drops, parse_rule

__all__ = ["WORDS", "DropRule", "LinkParams", "parse_drops", "parse_rule"]
