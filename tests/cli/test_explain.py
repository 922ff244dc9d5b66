"""`testbed explain`: every name that results, packets and nstat show is explained, however it is spelled."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed import explain
from testbed.errors import UserError
from testbed.mptcp.wire.mptcp_options import MpTcpRst
from tests.cli.conftest import Done

Testbed = Callable[..., Done]

# The names of Linux 6.18, from /proc/net/netstat and /proc/net/snmp.
KERNEL = (Path(__file__).with_name("kernel_counters_6.18.txt")).read_text().split()


@pytest.mark.parametrize("name", KERNEL)
def test_every_counter_of_the_kernel_is_explained_as_nstat_prints_it(name: str) -> None:
    for spelled in (name, name.lower(), name.upper()):
        assert any(name in entry.aliases for entry in explain.explain(spelled)), spelled


def test_nstat_names_from_the_command_line(testbed: Testbed) -> None:
    for word, expected in (
        ("MPTcpExtMPCapableSYNRX", "SYNs with MP_CAPABLE received"),
        ("TcpExtSyncookiesFailed", "invalid SYN cookies received"),
        ("TcpRetransSegs", "segments retransmitted"),
        ("MPTcpExtWinProbe", "zero window probes"),
    ):
        done = testbed("explain", word)
        assert (done.status, expected in done.out) == (0, True), done
    assert testbed("explain", "MPTcpExt").out.count("(kernel counter)") == 76


@pytest.mark.parametrize("value", range(7))
def test_every_reason_of_mp_tcprst(testbed: Testbed, value: int) -> None:
    said = {
        testbed("explain", f"{word}{value}").out for word in ("MP_TCPRST ", "mp_tcprst ", "rst reason ", "")
    }
    assert len(said) == 1
    (text,) = said
    assert f"reason {value} of MP_TCPRST" in text
    assert "RFC 8684 §3.6" in text
    assert value in {*explain.RST_REASONS, MpTcpRst(0, value).reason}
    words = testbed("explain", "MP_TCPRST", value)  # not quoted
    assert words.out == text


def test_without_a_word_everything_is_listed(testbed: Testbed) -> None:
    listed = testbed("explain")
    assert listed.status == 0
    for word in ("cookie_without_key", "MPCapableSYNRX", "TCPAOBad", "middlebox_interference", "lowest_rtt"):
        assert word in listed.out, word
    assert max(map(len, listed.out.splitlines())) <= 100
    kinds = json.loads(testbed("explain", "--json").out)
    assert kinds == explain.known()
    assert {"reason", "counter", "kernel counter", "RST reason", "scheduler"} <= set(kinds)


def test_everything_that_is_listed_is_explained(testbed: Testbed) -> None:
    """The property: each name and each kind of the list leads to an entry, and --json holds the same."""
    for kind, names in explain.known().items():
        assert explain.explain(f"{kind}s")
        for name in names:
            found = explain.explain(name)
            assert (name, kind) in [(entry.name, entry.kind) for entry in found], (name, kind)
            assert all(entry.meaning for entry in found)
    (entry,) = json.loads(testbed("explain", "cookie_without_key", "--json").out)
    assert set(entry) == {"name", "kind", "meaning", "section", "aliases", "group", "files", "tests"}
    assert entry["section"] == "draft-paasch-mptcp-syncookies-02 §2"
    assert entry["files"][0].startswith("testbed/mptcp/")


@pytest.mark.parametrize("word", ["", " ", "_", "zzz", "7", "MP_TCPRST 7", "nstat", "\x1b[31m"])
def test_an_unknown_word_is_an_error_with_advice(word: str) -> None:
    with pytest.raises(UserError, match=r"explain: unknown word"):
        explain.explain(word)
