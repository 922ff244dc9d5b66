"""Requests to the kernel against what `ip` says that came of them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.namespaces import Namespace, namespaces, why_no_lab

REASON = why_no_lab()
pytestmark = [pytest.mark.lab, pytest.mark.skipif(REASON is not None, reason=str(REASON))]

MADE = """
import os
from testbed.net import netlink
with netlink.Netlink() as kernel:
    ends = [("near", "02:00:00:00:00:01", os.getpid()), ("far", "02:00:00:00:00:AB", os.getpid())]
    kernel.tell([netlink.cable("link near-far", ends)])
    links = kernel.links()
    near, far = links["near"], links["far"]
    assert (near.mac, near.up, far.mac) == ("02:00:00:00:00:01", False, "02:00:00:00:00:ab"), links
    texts = [f"10.0.{i}.1/24" for i in range(150)] + ["fd00::1/64"]
    kernel.tell([
        netlink.link("queue", near.index, mac="02:00:00:00:00:02", queue=77),
        netlink.link("far up", far.index, up=True),
        netlink.link("near up", near.index, up=True),
        *(netlink.address(text, near.index, text) for text in texts),
        netlink.neighbour("n4", near.index, "10.0.7.9", "02:00:00:00:00:09"),
        netlink.neighbour("n6", near.index, "fd00::9", "02:00:00:00:00:09"),
        netlink.route("host", near.index, "10.9.9.9/32", None),
        netlink.route("net", near.index, "10.8.0.0/16", "10.0.7.9"),
        netlink.route("default", near.index, "0.0.0.0/0", "10.0.8.9", 1000),
        netlink.route("six", near.index, "fd01::/64", "fd00::9"),
        netlink.rule("rule", "10.0.3.1", 1000, 1000),
    ])
    assert {(near.index, text) for text in texts} <= kernel.addresses()
    wanted = {(near.index, host, "02:00:00:00:00:09") for host in ("10.0.7.9", "fd00::9")}
    assert kernel.neighbours() == wanted, kernel.neighbours()
    assert kernel.links()["near"].up
    assert kernel.way("10.0.3.1", "198.51.100.1") == near.index
    try:
        kernel.way("10.0.4.1", "198.51.100.1")
    except netlink.Refused as error:
        print(error.strerror)
    try:
        kernel.tell([
            netlink.link("fine", near.index, up=True),
            netlink.address("near: address 10.0.1.1/24", near.index, "10.0.1.1/24"),
            netlink.route("a: route to 10.7.0.0/16", near.index, "10.7.0.0/16", "192.0.2.1"),
        ])
    except netlink.Refused as error:
        print(error.strerror)
    assert kernel.links()["near"] == netlink.Seen(near.index, "02:00:00:00:00:02", True)  # still in step
"""


@pytest.fixture(scope="module")
def made() -> Iterator[tuple[Namespace, list[str]]]:
    with namespaces(1) as (place,):
        yield place, place.python(MADE).splitlines()


def test_a_refusal_names_the_request_that_was_refused(made: tuple[Namespace, list[str]]) -> None:
    no_way, refused = made[1]
    assert no_way == "the way 10.0.4.1 > 198.51.100.1: Network is unreachable"
    assert refused.startswith("near: address 10.0.1.1/24: File exists")


def test_ip_shows_what_was_asked_for(made: tuple[Namespace, list[str]]) -> None:
    place, _ = made
    (near,) = json.loads(place.run("ip", "-j", "address", "show", "dev", "near"))
    assert (near["address"], near["txqlen"], near["operstate"]) == ("02:00:00:00:00:02", 77, "UP")
    four = [entry for entry in near["addr_info"] if entry["family"] == "inet"]
    assert [(entry["local"], entry["prefixlen"]) for entry in four] == [
        (f"10.0.{number}.1", 24) for number in range(150)
    ]
    routes = {entry["dst"]: entry for entry in json.loads(place.run("ip", "-j", "route"))}
    assert routes["10.9.9.9"]["scope"] == "link"
    assert routes["10.8.0.0/16"]["gateway"] == "10.0.7.9"
    assert "default" not in routes
    six = {entry["dst"]: entry for entry in json.loads(place.run("ip", "-6", "-j", "route"))}
    assert six["fd01::/64"]["gateway"] == "fd00::9"
    (rule,) = json.loads(place.run("ip", "-j", "rule", "show", "priority", "1000"))
    assert (rule["src"], rule["table"]) == ("10.0.3.1", "1000")
    (default,) = json.loads(place.run("ip", "-j", "route", "show", "table", "1000"))
    assert (default["dst"], default["gateway"]) == ("default", "10.0.8.9")
