"""What keys of an experiment mean to Linux, and how what it does is put in our words: nothing is run here."""

from __future__ import annotations

import errno
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from testbed.errors import MachineError, UserError
from testbed.linux import node, verdicts
from testbed.linux.settings import Config, refusals, settings_of
from testbed.mptcp.config import (
    ClientConfig,
    MptcpConfig,
    Profile,
    ServerConfig,
    SynCookies,
    TcpConfig,
    ThirdAck,
)
from testbed.mptcp.endpoint import Endpoint
from testbed.mptcp.paths import Limits, PathsConfig, parse_endpoint
from testbed.mptcp.reasons import Reason, Verdict
from testbed.runner import choose_way, load_experiment
from testbed.workloads import HostSpec

CLIENT, SERVER = ClientConfig(Profile.KERNEL), ServerConfig((Profile.KERNEL,))
NEAR, FAR = ("10.0.1.1", "10.0.2.1"), ("10.1.1.1", "10.1.2.1")
EXPERIMENT = """\
topology: {name: two_path}
vary: {client.profile: [v1, kernel]}
client: {third_ack: bare}
server: {syn_cookies: always}
connections: 3
"""


def host(config: Config, near: tuple[str, ...] = NEAR, far: tuple[str, ...] = FAR) -> HostSpec:
    if isinstance(config, ClientConfig):
        return HostSpec("client", "client", near, far, client=config)
    return HostSpec("server", "server", far, near, server=config)


def with_paths(*endpoints: str, limits: Limits = Limits()) -> PathsConfig:  # noqa: B008
    return PathsConfig(tuple(map(parse_endpoint, endpoints)), limits)


@pytest.mark.parametrize(
    ("config", "name", "value"),
    [
        (replace(SERVER, syn_cookies=SynCookies.OFF), "net.ipv4.tcp_syncookies", 0),
        (SERVER, "net.ipv4.tcp_syncookies", 1),
        (replace(SERVER, syn_cookies=SynCookies.ALWAYS), "net.ipv4.tcp_syncookies", 2),
        (replace(SERVER, fast_open=True), "net.ipv4.tcp_fastopen", 3),
        (replace(CLIENT, syn_retries=4), "net.mptcp.syn_retrans_before_tcp_fallback", 4),
        (replace(CLIENT, mptcp=MptcpConfig(checksum=True)), "net.mptcp.checksum_enabled", 1),
        (replace(CLIENT, tcp=TcpConfig(sack=False)), "net.ipv4.tcp_sack", 0),
        (replace(CLIENT, tcp=TcpConfig(rto_min=10**9)), "net.ipv4.tcp_rto_min_us", 10**6),
    ],
)
def test_keys_become_sysctls(config: Config, name: str, value: int) -> None:
    assert list(refusals("host", config)) == []
    assert settings_of(host(config)).sysctls[name] == value


def test_usual_endpoints_make_one_subflow_for_each_path() -> None:
    assert settings_of(host(CLIENT)).endpoints == ()  # it answers announcements, from its routes' address
    assert settings_of(host(SERVER)).endpoints == ("10.1.2.1 signal",)
    assert settings_of(host(CLIENT, far=FAR[:1])).endpoints == ("10.0.2.1 subflow",)
    assert settings_of(host(CLIENT)).limits == "subflows 8 add_addr_accepted 8"


def test_given_endpoints_are_the_path_managers() -> None:
    config = replace(CLIENT, paths=with_paths("10.0.2.1 id 7 subflow backup", limits=Limits(3, 2)))
    settings = settings_of(host(config))
    assert settings.endpoints == ("10.0.2.1 id 7 subflow backup",)
    assert settings.limits == "subflows 3 add_addr_accepted 2"
    assert settings_of(host(replace(CLIENT, paths=PathsConfig(())))).endpoints == ()


@pytest.mark.parametrize(
    ("config", "key", "word"),
    [
        (replace(CLIENT, third_ack=ThirdAck.PIGGYBACK), "host.third_ack", "piggyback"),
        (replace(SERVER, mptcp=MptcpConfig(isn_recovery=True)), "host.mptcp.isn_recovery", "true"),
        (replace(CLIENT, tcp=TcpConfig(initial_window=4)), "host.tcp.initial_window", "4"),
        (replace(CLIENT, tcp=TcpConfig(congestion="lia")), "host.tcp.congestion", "cubic, newreno"),
        (replace(CLIENT, paths=with_paths("10.0.2.1 subflow pair")), "host.paths.endpoints", "pair"),
        (replace(CLIENT, paths=PathsConfig(limits=Limits(9, 9))), "host.paths.limits", "up to 8"),
        (ServerConfig((Profile.KERNEL, Profile.V1)), "host.profiles", "alone"),
    ],
)
def test_what_means_nothing_to_linux_is_refused(config: Config, key: str, word: str) -> None:
    ((path, text),) = refusals("host", config)
    assert ".".join(path) == key
    assert word in text


def test_our_stack_is_refused_nothing() -> None:
    assert list(refusals("client", ClientConfig(third_ack=ThirdAck.PIGGYBACK))) == []


def test_no_endpoint_of_ours_speaks_kernel() -> None:
    endpoint = Endpoint(entropy=random.Random(1).randbytes)
    with pytest.raises(UserError, match="profile kernel"):
        endpoint.connect(0, (b"\n\0\0\1", 1), (b"\n\0\0\2", 2), CLIENT)
    with pytest.raises(UserError, match="profile kernel"):
        endpoint.listen(80, SERVER)


def experiment(tmp_path: Path, text: str = EXPERIMENT) -> Path:
    file = tmp_path / "kernel.yaml"
    file.write_text(text)
    return file


def test_an_experiment_may_vary_it(tmp_path: Path) -> None:
    cells = load_experiment(experiment(tmp_path)).cells
    assert [plan.factors["client.profile"] for plan in cells] == ["v1", "kernel"]


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("third_ack: bare", "third_ack: piggyback", "client.third_ack"),
        (
            "syn_cookies: always",
            "profiles: [kernel], mptcp: {isn_recovery: true}",
            "server.mptcp.isn_recovery",
        ),
        ("syn_cookies: always", "profiles: [kernel, v1]", "server.profiles"),
    ],
)
def test_an_experiment_with_a_key_that_linux_lacks_names_it(
    tmp_path: Path, old: str, new: str, key: str
) -> None:
    file = experiment(tmp_path, EXPERIMENT.replace(old, new))
    with pytest.raises(UserError, match=rf"kernel\.yaml:[34]: {key}: "):
        load_experiment(file)


def test_the_simulator_has_no_linux(tmp_path: Path) -> None:
    campaign = load_experiment(experiment(tmp_path))
    with pytest.raises(UserError, match=r"client\.profile: kernel: .*--net mininet"):
        choose_way(campaign, "sim")


def test_a_kernel_without_mptcp_is_the_machines_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPROTONOSUPPORT, "Protocol not supported")

    monkeypatch.setattr("testbed.linux.node.socket.socket", refuse)
    with pytest.raises(MachineError, match="no MPTCP"):
        choose_way(load_experiment(experiment(tmp_path)), "mininet")


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        ({"early": True, "syn_retransmits": 0}, Reason.NO_CAPABLE_IN_SYNACK),
        ({"early": True, "syn_retransmits": 2}, Reason.NO_CAPABLE_IN_SYNACK),
        ({"early": True, "syn_retransmits": 3}, Reason.SYN_RETRIES_EXHAUSTED),
        ({"early": False, "syn_retransmits": 0}, Reason.NO_DATA_ACK),
        ({"early": False, "syn_retransmits": 0, "counted": {"MPFailRx": 1}}, Reason.MP_FAIL_RECEIVED),
    ],
)
def test_why_a_client_fell_back(known: dict[str, Any], reason: Reason) -> None:
    assert verdicts.client_fallback(**{"syn_retries": 2, "counted": {}, **known}) is reason


@pytest.mark.parametrize(
    ("early", "blamed", "counted", "reason"),
    [
        (True, 0, {}, Reason.NO_CAPABLE_IN_SYN),
        (True, 0, {"MPCapableSYNRX": 1, "MPCapableFallbackACK": 1}, Reason.THIRD_ACK_WITHOUT_CAPABLE),
        (True, 1, {"MPCapableSYNRX": 1, "MPCapableFallbackACK": 1}, Reason.NO_CAPABLE_IN_SYN),
        (True, 0, {"MPCapableSYNRX": 1, "SyncookiesRecv": 1}, Reason.COOKIE_WITHOUT_KEY),
        (True, 0, {"SyncookiesRecv": 1}, Reason.NO_CAPABLE_IN_SYN),
        (False, 0, {"DataCsumErr": 1}, Reason.CHECKSUM_FAILED),
        (False, 0, {}, Reason.NO_MAPPING),
    ],
)
def test_why_a_server_fell_back(early: bool, blamed: int, counted: dict[str, int], reason: Reason) -> None:
    assert verdicts.server_fallback(early=early, blamed=blamed, counted=counted) is reason


def test_ends_in_our_words() -> None:
    assert verdicts.clean(Reason.NONE) == verdicts.End(Verdict.MPTCP, Reason.NONE, "data_fin")
    assert verdicts.clean(Reason.NO_CAPABLE_IN_SYN).verdict is Verdict.TCP
    assert verdicts.clean(Reason.NO_DATA_ACK) == verdicts.End(Verdict.FALLBACK, Reason.NO_DATA_ACK, "fin")
    kinds = {"fallback": Reason.NONE, "counted": {}}
    assert verdicts.broken(errno.ETIMEDOUT, connected=False, **kinds).reason is Reason.CONNECT_TIMED_OUT  # type: ignore[arg-type]
    assert verdicts.broken(errno.ECONNRESET, connected=True, **kinds).closed_by == "rst"  # type: ignore[arg-type]


def test_a_script_sets_what_is_given() -> None:
    text = node.script(
        settings_of(host(SERVER)).sysctls, ("10.1.2.1 signal",), "subflows 2 add_addr_accepted 1"
    )
    assert "sysctl -qw net.ipv4.tcp_syncookies=1" in text
    assert text.endswith("ip mptcp endpoint add 10.1.2.1 signal")
