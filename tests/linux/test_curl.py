"""curl against `testbed server --serve http` in a lab with two paths: over plain TCP, and over Linux's MPTCP,
whose sockets `mptcpize run` gives it."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.net import Lab
from testbed.workloads.serving import pattern
from tests.namespaces import why_no_lab
from tests.net.needs import two_path
from tests.programs import why_no_mptcp

MISSING = [name for name in ("curl", "mptcpize") if shutil.which(name) is None]
REASON = why_no_lab() or why_no_mptcp() or (f"{', '.join(MISSING)} missing: make setup" if MISSING else None)
pytestmark = [pytest.mark.lab, pytest.mark.skipif(REASON is not None, reason=str(REASON))]

URL = "http://10.1.1.1:20080"
MPTCP = ("mptcpize", "run")


class Web:
    """The server, and curl at the other end."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        words = ["-P", "-m", "testbed.cli", "server", "--serve", "http", "--syn-cookies", "always", "--json"]
        self.process = lab.popen(
            "server", [sys.executable, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        said = self.process.stderr.readline()
        assert said.startswith("serving http on 10.1.1.1"), said + self.process.stderr.read()

    def curl(self, *words: str, by: tuple[str, ...] = ()) -> str:
        done = self.lab.run("client", [*by, "curl", "-sS", "--max-time", "30", *words])
        assert done.returncode == 0, done.stderr
        return done.stdout

    def connections(self, count: int = 1) -> list[dict[str, Any]]:
        """What the server says of so many connections as they end; there were no others."""
        found = [json.loads(self.process.stdout.readline()) for _ in range(count)]
        self.process.send_signal(signal.SIGINT)
        out, errors = self.process.communicate(timeout=30)
        assert self.process.returncode == 0, errors
        assert json.loads(out)["connections"] == count, out
        return found


@pytest.fixture
def web() -> Iterator[Web]:
    with Lab(two_path(delay="5ms")) as lab:
        lab.run("client", ["ip", "mptcp", "limits", "set", "subflow", "2", "add_addr_accepted", "2"])
        yield Web(lab)


def test_over_multipath_tcp_with_two_subflows(web: Web, tmp_path: Path) -> None:
    body = tmp_path / "body"
    web.curl(f"{URL}/1MB", "-o", str(body), by=MPTCP)
    assert len(body.read_bytes()) == 1_000_000
    assert pattern().matches(0, body.read_bytes())
    (seen,) = web.connections()
    assert (seen["verdict"], seen["profile"], seen["subflows"]) == ("mptcp", "v1", 2), seen
    assert [path["bytes_sent"] > 0 for path in seen["paths"]] == [True, True]
    assert seen["closed_by"] == "data_fin"


def test_over_plain_tcp(web: Web, tmp_path: Path) -> None:
    body = tmp_path / "body"
    web.curl(f"{URL}/100KB", "-o", str(body))
    assert pattern().matches(0, body.read_bytes())
    assert len(body.read_bytes()) == 100_000
    (seen,) = web.connections()
    assert (seen["reason"], seen["subflows"]) == ("no_capable_in_syn", 1), seen


def test_what_curl_may_ask(web: Web) -> None:
    """Two requests on one connection, a HEAD, and what is refused."""
    assert "Multipath TCP" in web.curl(f"{URL}/", by=MPTCP)
    status = ("-o", "/dev/null", "-w", "%{http_code} %{num_connects}\n")
    twice = web.curl(*status, *status[:2], f"{URL}/10KB", f"{URL}/20KB", by=MPTCP)
    assert twice.split() == ["200", "1", "200", "0"]
    assert "Content-Length: 5000" in web.curl("-I", f"{URL}/5KB", by=MPTCP)
    for words, answer in (
        ((f"{URL}/none",), "404"),
        (("-d", "x", f"{URL}/"), "405"),
        (("-H", f"X-Long: {'x' * 60_000}", f"{URL}/"), "431"),
    ):
        assert web.curl(*status, *words, by=MPTCP).split()[0] == answer
    seen = web.connections(6)
    assert [one["verdict"] for one in seen] == ["mptcp"] * 6, seen
