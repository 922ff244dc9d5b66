"""A topology as plain values: hosts, addresses, links, paths and routes. Needs no root."""

from testbed.plan.build import plan_from
from testbed.plan.catalogue import known_topologies, load_topology, topology_file
from testbed.plan.overrides import place_of, with_overrides
from testbed.plan.picture import describe, draw
from testbed.plan.reach import joined
from testbed.plan.sketch import sketch
from testbed.plan.values import (
    Direction,
    Hop,
    InterfacePlan,
    LinkPlan,
    NetPlan,
    NodePlan,
    PathPlan,
    RoutePlan,
)

__all__ = [
    "Direction",
    "Hop",
    "InterfacePlan",
    "LinkPlan",
    "NetPlan",
    "NodePlan",
    "PathPlan",
    "RoutePlan",
    "describe",
    "draw",
    "joined",
    "known_topologies",
    "load_topology",
    "place_of",
    "plan_from",
    "sketch",
    "topology_file",
    "with_overrides",
]
