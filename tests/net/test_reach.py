"""In a lab of every topology each host reaches every address of every other from each of its own, by echo."""

from __future__ import annotations

import itertools
import sys

import pytest

from testbed.net import Lab
from testbed.plan import load_topology, plan_from
from tests.net.needs import lab_only
from tests.plan.test_topologies import DUAL, hosts

pytestmark = [pytest.mark.lab, lab_only]


@pytest.mark.parametrize("name", DUAL)
def test_every_pair_of_addresses_answers(name: str) -> None:
    """Who does not is named."""
    plan = plan_from(load_topology(name, ipv6=True))
    with Lab(plan) as lab:
        for one in hosts(plan):
            pairs = [
                (source, destination)
                for other in hosts(plan)
                if other != one
                for source, destination in itertools.product(plan.addresses(one), plan.addresses(other))
                if (":" in source) == (":" in destination)
            ]
            done = lab.run(one, [sys.executable, "-m", "tests.net.reach", *itertools.chain(*pairs)])
            assert (done.stdout, done.stderr, done.returncode) == ("", "", 0), one
