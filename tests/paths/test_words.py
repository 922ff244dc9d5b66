"""Endpoints and limits as text: what is read, what is refused and in which words."""

from __future__ import annotations

import contextlib
import ipaddress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.errors import UserError
from testbed.mptcp.config import ClientConfig, ServerConfig
from testbed.mptcp.paths import (
    Flag,
    Limits,
    LocalEndpoint,
    PathsConfig,
    describe,
    describe_limits,
    parse_endpoint,
    parse_limits,
)
from testbed.runner import load_experiment
from testbed.runner.spec import build


def packed(text: str) -> bytes:
    return ipaddress.ip_address(text).packed


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("10.0.2.1", LocalEndpoint(packed("10.0.2.1"))),
        (
            "10.0.2.1 dev eth1 id 3 subflow backup",
            LocalEndpoint(packed("10.0.2.1"), 3, Flag.SUBFLOW | Flag.BACKUP, dev="eth1"),
        ),
        ("10.0.2.1 id 1 subflow fullmesh", LocalEndpoint(packed("10.0.2.1"), 1, Flag(9))),
        ("fd00::1 signal port 8080", LocalEndpoint(packed("fd00::1"), 0, Flag.SIGNAL, 8080)),
        ("10.0.2.1 pair subflow", LocalEndpoint(packed("10.0.2.1"), 0, Flag.SUBFLOW | Flag.PAIR)),
    ],
)
def test_an_endpoint_is_read(text: str, endpoint: LocalEndpoint) -> None:
    assert parse_endpoint(text) == endpoint
    assert parse_endpoint(describe(endpoint)) == endpoint


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["expected an address"]),
        ("10.0.2", ["10.0.2: expected an IPv4 or IPv6 address"]),
        ("subflow 10.0.2.1", ["subflow: expected an IPv4 or IPv6 address first"]),
        (
            "10.0.2.1 subflw",
            ["subflw: expected one of subflow,", "did you mean subflow?", "example: 10.0.2.1"],
        ),
        ("10.0.2.1 id", ["id: expected a number, 1 to 255 behind it"]),
        ("10.0.2.1 id 0", ["id 0: expected a number, 1 to 255"]),
        ("10.0.2.1 id 256", ["id 256"]),
        ("10.0.2.1 id two", ["id two: expected a number"]),
        ("10.0.2.1 id ²", ["id ²: expected a number"]),
        ("10.0.2.1 subflow subflow", ["subflow: stands here twice"]),
        ("10.0.2.1 signal port 70000", ["port 70000: expected a number, 1 to 65535"]),
        ("10.0.2.1 subflow port 80", ["port goes with signal", "signal port 8080"]),
        ("10.0.2.1 signal fullmesh", ["signal and fullmesh exclude each other"]),
        ("10.0.2.1 subflow fullmesh pair", ["pair and fullmesh exclude each other"]),
        ("10.0.2.1 pair", ["pair goes with subflow"]),
    ],
)
def test_a_bad_endpoint_is_named(text: str, words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        parse_endpoint(text)
    assert repr(text) in str(caught.value)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("", Limits()),
        ("subflow 4", Limits(4, Limits().add_addr_accepted)),
        ("subflow 4 add_addr_accepted 2", Limits(4, 2)),
        ("add_addr_accepted 0 subflows 2", Limits(2, 0)),
        ({"subflow": 4, "add_addr_accepted": 2}, Limits(4, 2)),
    ],
)
def test_limits_are_read(text: str | dict[str, object], limits: Limits) -> None:
    assert parse_limits(text) == limits
    assert parse_limits(describe_limits(limits)) == limits


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("subflow", ["subflow: expected a number behind it"]),
        ("subflow many", ["subflow many: expected a number, 0 to"]),
        ("subflow -1", ["subflow -1: expected a number"]),
        ("subflow 1000", ["subflow 1000"]),
        ("subflw 4", ["subflw: expected one of subflow,", "did you mean subflow?", "example: subflow 4"]),
        ("subflow 4 subflows 4", ["subflows: stands here twice"]),
        ({"subflow": True}, ["subflow True: expected a number"]),
    ],
)
def test_bad_limits_are_named(text: str | dict[str, object], words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        parse_limits(text)
    for word in words:
        assert word in str(caught.value)


def test_ids_are_given_where_absent_and_no_two_endpoints_are_the_same() -> None:
    lines = ["10.0.1.1 subflow", "10.0.2.1 id 1 subflow", "10.0.3.1 signal", "10.0.3.1 signal port 80"]
    config = PathsConfig(tuple(parse_endpoint(line) for line in lines))
    assert config.endpoints is not None
    assert [endpoint.id for endpoint in config.endpoints] == [2, 1, 3, 4]
    with pytest.raises(UserError, match=r"10.0.2.1: id 1 is taken"):
        PathsConfig((parse_endpoint("10.0.1.1 id 1"), parse_endpoint("10.0.2.1 id 1")))
    with pytest.raises(UserError, match=r"10.0.2.1: is an endpoint already"):
        PathsConfig((parse_endpoint("10.0.2.1 subflow"), parse_endpoint("10.0.2.1 backup")))
    with pytest.raises(UserError, match="255 endpoints already"):
        PathsConfig(tuple(LocalEndpoint(packed(f"10.0.{n // 256}.{n % 256}")) for n in range(256)))


SENSIBLE = [Flag.NONE, Flag.SUBFLOW, Flag.SIGNAL, Flag.BACKUP, Flag(9), Flag(17), Flag(7)]


@given(
    st.one_of(st.binary(min_size=4, max_size=4), st.binary(min_size=16, max_size=16)),
    st.integers(0, 255),
    st.sampled_from(SENSIBLE),
    st.integers(0, 0xFFFF),
)
def test_what_is_described_reads_back(address: bytes, number: int, flags: Flag, port: int) -> None:
    endpoint = LocalEndpoint(address, number, flags, port if Flag.SIGNAL in flags else 0)
    assert parse_endpoint(describe(endpoint)) == endpoint


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    for parse in (parse_endpoint, parse_limits):
        with contextlib.suppress(UserError):
            parse(text)


EXPERIMENT = """\
topology: {name: two_path}
client: {paths: {endpoints: ["10.0.2.1 subflow backup"], limits: subflow 4 add_addr_accepted 2}}
server: {paths: {limits: {subflow: 1}}}
"""


def test_an_experiment_says_paths_in_the_same_words(tmp_path: Path) -> None:
    file = tmp_path / "paths.yaml"
    file.write_text(EXPERIMENT)
    campaign = load_experiment(file)
    cell = campaign.cells[0].cell
    client, server = build(ClientConfig, cell.client), build(ServerConfig, cell.server)
    assert client.paths.endpoints == (LocalEndpoint(packed("10.0.2.1"), 1, Flag.SUBFLOW | Flag.BACKUP),)
    assert client.paths.limits == Limits(4, 2)
    assert server.paths == PathsConfig(None, Limits(1, Limits().add_addr_accepted))
    file.write_text(campaign.text())
    assert [one.cell for one in load_experiment(file).cells] == [one.cell for one in campaign.cells]
    assert "10.0.2.1 id 1 subflow backup" in campaign.text()


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        (
            "client.paths.endpoints=[10.0.2.1 subflw]",
            ["client.paths.endpoints: endpoint", "subflw"],
        ),
        ("client.paths.endpoints=10.0.2.1", ["client.paths.endpoints: expected a list of endpoints"]),
        ("client.paths.limits=subflw 4", ["client.paths.limits: limits", "did you mean subflow?"]),
        ("client.paths.limits=[1]", ["client.paths.limits: expected limits such as"]),
        ("server.paths.endpoint=[]", ["server.paths.endpoint: unknown key", "endpoints"]),
    ],
)
def test_an_experiment_is_told_what_was_expected(tmp_path: Path, setting: str, words: list[str]) -> None:
    file = tmp_path / "paths.yaml"
    file.write_text("topology: {name: two_path}\n")
    with pytest.raises(UserError) as caught:
        load_experiment(file, [setting])
    for word in words:
        assert word in str(caught.value)
