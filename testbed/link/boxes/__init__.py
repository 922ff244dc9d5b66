"""Middleboxes on a link: what each does to the segments that pass, and the words that name them."""

from testbed.link.boxes.box import Box, Way
from testbed.link.boxes.words import BOXES, BoxSpec, parse_box, parse_boxes

__all__ = ["BOXES", "Box", "BoxSpec", "Way", "parse_box", "parse_boxes"]
