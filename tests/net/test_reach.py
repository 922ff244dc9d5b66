"""In a lab of every topology each host reaches every address of every other from each of its own, by echo,
over the interface that its own address names; and plain Mininet starts each as it stands."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.net import Lab
from testbed.plan import load_topology, plan_from
from tests.net.needs import lab_only
from tests.plan.test_topologies import DUAL, FOLDER, NAMES, hosts

pytestmark = [pytest.mark.lab, lab_only]


@pytest.mark.parametrize("name", NAMES)
def test_every_pair_of_addresses_answers_over_the_interface_that_it_names(name: str) -> None:
    """Who does not is named."""
    plan = plan_from(load_topology(name, **({"ipv6": True} if name in DUAL else {})))
    with Lab(plan) as lab:
        for one in hosts(plan):
            triples = [
                (source, destination, end.name)
                for other in hosts(plan)
                if other != one
                for end in plan.interfaces(one)
                for source, destination in itertools.product(end.hosts, plan.addresses(other))
                if (":" in source) == (":" in destination)
            ]
            done = lab.run(one, [sys.executable, "-m", "tests.net.reach", *itertools.chain(*triples)])
            assert (done.stdout, done.stderr, done.returncode) == ("", "", 0), one


@pytest.fixture(scope="module")
def safe_place() -> Iterator[Lab]:
    """What mn does to a machine, it does to this lab."""
    with Lab(plan_from(load_topology("cables"))) as lab:
        yield lab


@pytest.mark.parametrize("name", NAMES)
def test_plain_mininet_starts_it_as_it_stands(name: str, safe_place: Lab) -> None:
    plan = plan_from(load_topology(name))
    mn = [str(Path(sys.executable).with_name("mn")), "--custom", str(FOLDER / f"{name}.py"), "--topo", name]
    done = safe_place.run("client", [*mn, "--controller", "none", "--test", "none"], timeout=120)
    assert done.returncode == 0, done.stderr
    said = done.stdout + done.stderr
    assert "*** Done" in said or "completed in" in said
    for link in plan.links:
        assert f"({link.a.node}, {link.b.node})" in said
    for node in plan.nodes:
        assert node.name in said.split("*** Adding hosts:")[1].split("***")[0].split()
