"""The server and the client by hand, and what they refuse."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.drive import ClientArguments, ServerArguments
from testbed.errors import UserError
from testbed.link import LinkParams
from testbed.mptcp.config import Profile, SynCookies
from tests.namespaces import ROOT, Namespace, join, namespaces, why_no_lab
from tests.programs import Server, client, start_client
from tests.wiring import A, B, wire


@pytest.fixture
def pair() -> Iterator[tuple[Namespace, Namespace]]:
    with namespaces(2) as (a, b):
        join(a, b, f"{A}/24", f"{B}/24")
        yield a, b


def rules(namespace: Namespace) -> str:
    return namespace.run("ip", "rule") + namespace.run("ip", "-o", "link", "show", "type", "tun")


@pytest.mark.lab
@pytest.mark.skipif(why_no_lab() is not None, reason=str(why_no_lab()))
class TestByHand:
    @pytest.mark.parametrize("profile", ["tcp", "v0", "draft", "v1"])
    def test_echo(self, pair: tuple[Namespace, Namespace], profile: str) -> None:
        a, b = pair
        server = Server(b)
        ours = client(a, B, profile=profile, send=100_000)
        assert ours["verdict"] == server.result()["verdict"] == ("tcp" if profile == "tcp" else "mptcp")
        assert ours["profile"] == profile
        assert ours["intact"]
        assert ours["bytes"] == 200_000
        assert ours["bitrate"] > 0
        assert ours["subflows"] == 1
        assert rules(a).count("lookup") == 3  # the machine's own

    @pytest.mark.parametrize(
        ("service", "asked", "sent", "received"),
        [
            ("sink", {"send": 50_000}, 50_000, 0),
            ("source", {"send": 0, "receive": 50_000}, 0, 50_000),
            ("echo", {"send": 50_000, "receive": 50_000}, 50_000, 50_000),
            ("echo", {"send": 0}, 0, 0),
        ],
    )
    def test_services(
        self, pair: tuple[Namespace, Namespace], service: str, asked: dict[str, Any], sent: int, received: int
    ) -> None:
        a, b = pair
        server = Server(b, serve=service)
        ours = client(a, B, **asked)
        assert (ours["bytes_sent"], ours["bytes_received"]) == (sent, received)
        assert ours["intact"]
        assert ours["verdict"] == "mptcp"
        assert server.result()["bytes_received"] == sent

    def test_an_echo_that_owes_bytes_is_not_intact(self, pair: tuple[Namespace, Namespace]) -> None:
        a, b = pair
        server = Server(b, serve="sink")
        ours = client(a, B, send=1000, receive=1000, timeout=1)
        assert not ours["intact"]
        assert (ours["verdict"], ours["reason"]) == ("hang", "no_progress")
        server.result()

    def test_http_for_a_client_of_the_kernel(self, pair: tuple[Namespace, Namespace]) -> None:
        a, b = pair
        server = Server(b, serve="http", once=False)
        source = f"import urllib.request as u; print(len(u.urlopen('http://{B}:20080/100000').read()))"
        assert a.python(source).strip() == "100000"
        assert "Multipath" in a.python(source.replace("/100000", "/").replace("len", ""))
        server.process.send_signal(signal.SIGTERM)
        out, errors = server.process.communicate(timeout=20)
        end = json.loads(out.splitlines()[-1])
        assert (end["connections"], end["interrupted"]) == (2, True), errors

    def test_several_connections_and_loopback(self, pair: tuple[Namespace, Namespace]) -> None:
        """Without --bind the server serves all addresses, 127.0.0.1 included; both run on one host."""
        _, b = pair
        server = Server(b, once=False)
        for address in (B, "127.0.0.1", B):
            assert client(b, address, send=10_000)["intact"]
        server.process.send_signal(signal.SIGINT)
        out, errors = server.process.communicate(timeout=20)
        assert server.process.returncode == 0, errors
        assert json.loads(out.splitlines()[-1])["connections"] == 3
        assert rules(b).count("lookup") == 3

    def test_interrupted_client_resets_and_leaves_nothing(self, pair: tuple[Namespace, Namespace]) -> None:
        a, b = pair
        server = Server(b, serve="source")
        child = start_client(a, B, send=0, receive=1 << 40)
        a.python(
            "import pathlib, time\n"
            "stat = pathlib.Path('/sys/class/net/mptcp0/statistics/tx_packets')\n"
            "while not stat.exists() or int(stat.read_text()) < 100: time.sleep(0.01)"
        )
        child.send_signal(signal.SIGINT)
        out, errors = child.communicate(timeout=20)
        ours = json.loads(out)
        assert ours["interrupted"], errors
        assert (ours["verdict"], ours["reason"]) == ("reset", "aborted")
        assert server.result()["reason"] in ("rst_received", "fastclose_received")
        assert rules(a).count("lookup") == 3

    def test_refusals(self, pair: tuple[Namespace, Namespace]) -> None:
        a, b = pair
        running = Server(b)
        for namespace, arguments, message in (
            (b, {}, "in use by another testbed stack"),
            (b, {"bind": ["10.1.1.1"], "port": 99}, "10.1.1.1 is no address of this host; it has 10.9.0.2"),
        ):
            with pytest.raises(AssertionError, match=message) as failed:
                Server(namespace, **arguments)
            assert "Traceback" not in str(failed.value)
        for arguments, message in (
            ({"address": "10.9.0.255"}, "from here this is a broadcast address"),
            ({"address": B, "endpoints": ["10.9.0.1 dev nope"]}, "dev nope: this host has lo, eth0"),
        ):
            with pytest.raises(AssertionError, match=message):
                client(a, **arguments)
        with pytest.raises(AssertionError, match=r"no route to 192\.0\.2\.1") as failed:
            client(a, "192.0.2.1")
        assert "Traceback" not in str(failed.value)
        assert client(a, B, port=20081)["reason"] == "rst_received"  # the kernel's own answer
        assert client(a, B)["intact"]
        running.result()

    def test_without_the_rights_it_says_so(self, pair: tuple[Namespace, Namespace]) -> None:
        a, _ = pair
        source = (
            "from testbed.drive import ServerArguments, run_server\nfrom testbed.errors import MachineError\n"
            "try:\n    run_server(ServerArguments())\nexcept MachineError as error:\n    print(error)"
        )
        said = a.run("setpriv", "--bounding-set=-net_admin", sys.executable, "-c", source)
        assert "CAP_NET_ADMIN" in said
        assert "run as root" in said


@pytest.mark.lab
@pytest.mark.skipif(why_no_lab() is not None, reason=str(why_no_lab()))
def test_the_commands_report_while_it_goes_and_at_the_end(pair: tuple[Namespace, Namespace]) -> None:
    """Two paths, both ends through pipes: lines as they come at the client, one object at the server."""
    a, b = pair
    join(a, b, "10.9.1.1/24", "10.9.1.2/24", name="eth1")
    command = (sys.executable, "-P", "-m", "testbed.cli")
    server = b.start(*command, "server", "--once", "--serve", "sink", "--json", "--interval", "0.2")
    assert server.stderr is not None
    assert server.stderr.readline().startswith("serving sink")
    sizes = ("--receive-buffer", "64KB", "--send-buffer", "64KB")
    child = a.start(*command, "client", f"{B}:20080", "--time", "1", "--interval", "0.2", *sizes)
    assert child.stdout is not None
    head = [child.stdout.readline() for _ in range(3)]
    assert child.poll() is None, "the first interval is printed while the transfer goes on"
    assert head[1].split()[:2] == ["interval,", "s"]
    assert head[2].split()[0].startswith("0.00-0.2")
    out, errors = child.communicate(timeout=20)
    assert child.returncode == 0, errors
    assert "mptcp, profile v1, 2 subflows" in out
    assert "10.9.1.1:" in out
    assert all(len(line) <= 100 for line in out.splitlines())
    there, end = (json.loads(line) for line in server.communicate(timeout=20)[0].splitlines())
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for key in (*there, *there["paths"][0], *there["intervals"][0]):
        assert f"`{key}`" in readme, f"{key} is documented nowhere"
    assert end["connections"] == 1
    assert there["counters"]["MPJoinAckRx"] == 1
    assert sum(path["share"] for path in there["paths"]) == pytest.approx(1)
    assert len(there["intervals"]) >= 5
    assert sum(one["bytes_received"] for one in there["intervals"]) == there["bytes_received"] > 0


@pytest.mark.lab
@pytest.mark.skipif(why_no_lab() is not None, reason=str(why_no_lab()))
@pytest.mark.parametrize(
    ("profile", "recovery", "verdict"),
    [("v0", False, "fallback"), ("v1", False, "mptcp"), ("draft", True, "mptcp")],
)
def test_third_ack_lost_on_the_wire(tmp_path: Path, profile: str, recovery: bool, verdict: str) -> None:
    with wire(tmp_path, forward=LinkParams(drops=("third_ack",))) as (a, b, running):
        server = Server(b, syn_cookies="always", isn_recovery=recovery)
        ours = client(a, B, profile=profile, send=300, receive=300)
        assert ours["verdict"] == server.result()["verdict"] == verdict
        assert ours["intact"]
        assert len(running.end()["links"]["a-b/forward"]["exact"]) == 1


@pytest.mark.parametrize(
    "bad",
    [
        {"port": 0},
        {"port": 70_000},
        {"serve": "ftp"},
        {"bind": ("10.0.0",)},
        {"bind": ("nowhere",)},
        {"profiles": (Profile.TCP,), "checksum": True},
        {"fast_open": True, "syn_cookies": SynCookies.ALWAYS},
    ],
)
def test_bad_server_arguments(bad: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        ServerArguments(**bad)


@pytest.mark.parametrize(
    "bad",
    [
        {"address": "example"},
        {"address": A, "send": -1},
        {"address": A, "receive": -1},
        {"address": A, "timeout": 0},
        {"address": "fd00::9", "bind": (A,)},
        {"address": A, "bind": ("fd00::9", A)},
        {"address": "0.0.0.0"},
        {"address": "::"},
        {"address": "255.255.255.255"},
        {"address": "224.0.0.1"},
        {"address": A, "interval": 1e-9},
        {"address": A, "interval": -1},
        {"address": A, "receive_buffer": 255},
        {"address": A, "send_buffer": 0},
        {"address": A, "draft_version": 99},
        {"address": A, "draft_version": 1},
        {"address": A, "profile": Profile.TCP, "checksum": True},
        {"address": A, "profile": Profile.TCP, "endpoints": (f"{A} subflow",)},
        {"address": A, "pace": "hold 5"},
    ],
)
def test_bad_client_arguments(bad: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        ClientArguments(**bad)


def test_a_second_bind_may_be_of_the_other_family() -> None:
    assert ClientArguments(address=A, bind=(B, "fd00::9")).bind == (B, "fd00::9")
