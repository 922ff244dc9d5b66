"""The table of exact drops: what the standards demand of each profile when one very packet is lost.

A stateful server remembers the SYN, so no single loss costs MPTCP. A stateless one has only what the
packet brings that carries the cookie back: the third ACK, else the first data segment (RFC 4987 §3.6). If
that is the data, RFC 6824 has no key for it (fallback); the draft §3.1.1 and RFC 8684 §3.1 have. If both
are lost, a later segment cannot prove the cookie: reset, in every profile and in plain TCP alike, unless
the draft's §3.2 rebuilds the ISN. Three lost SYNs make the client try plain TCP (RFC 8684 §3.9.3),
whatever the server.
"""

from __future__ import annotations

import pytest

from testbed.mptcp.config import Profile, SynCookies
from testbed.workloads import Workload
from tests.sim.cells import MSS, ends, run_cell, verdict, why

V0, DRAFT, V1 = Profile.V0, Profile.DRAFT, Profile.V1
OFF, ALWAYS = SynCookies.OFF, SynCookies.ALWAYS

UP = {
    "third_ack": ("third_ack",),
    "data:1": ("data:1",),
    "third_ack+data:1": ("third_ack", "data:1"),
    "syn": ("syn",),
    "syn x3": ("syn x3",),
    "synack": (),
}
DOWN = {"synack": ("synack",)}


def expected(profile: Profile, drops: str, cookies: SynCookies, segments: int) -> tuple[str, str, str]:
    """Verdict, and the reasons that the client and the server give."""
    if drops == "syn x3":
        return "fallback", "syn_retries_exhausted", "no_capable_in_syn"
    if cookies is ALWAYS and drops == "third_ack+data:1" and segments > 1:
        return "reset", "rst_received", "absent"
    if cookies is ALWAYS and profile is V0 and "third_ack" in drops:
        return "fallback", "no_data_ack", "cookie_without_key"
    return "mptcp", "none", "none"


@pytest.mark.parametrize("segments", [1, 10])
@pytest.mark.parametrize("cookies", [OFF, ALWAYS])
@pytest.mark.parametrize("drops", list(UP))
@pytest.mark.parametrize("profile", [V0, DRAFT, V1])
def test_verdict(profile: Profile, drops: str, cookies: SynCookies, segments: int) -> None:
    # The last segment is short, so that the request is of that many segments whatever options take.
    request = (segments - 1) * MSS + 10 if segments > 1 else 300
    overrides = {"paths.1.drop.up": UP[drops], "paths.1.drop.down": DOWN.get(drops, ())}
    outcome = run_cell(
        profile, overrides=overrides, cookies=cookies, workload=Workload(request=request, response=10_000)
    )
    assert outcome.invalid is None
    unmatched = [rule for link in outcome.links.values() for rule in link["unmatched"]]
    assert unmatched == []
    ((client, server),) = ends(outcome)
    wanted, client_reason, server_reason = expected(profile, drops, cookies, segments)
    assert verdict(client, server) == wanted, why(client, server)
    assert client["reason"] == client_reason, why(client, server)
    assert (server["reason"] if server else "absent") == server_reason, why(client, server)
    if wanted != "reset":
        assert server is not None
        assert client["intact"], why(client, server)
        assert server["intact"], why(client, server)
        assert client["closed_by"] in ("data_fin", "fin"), why(client, server)


@pytest.mark.parametrize(
    ("drops", "wanted"),
    [(("third_ack",), "mptcp"), (("third_ack", "data:1"), "mptcp"), (("syn x3",), "fallback")],
)
def test_draft_with_isn_recovery(drops: tuple[str, ...], wanted: str) -> None:
    """draft §3.2: a DSS on a later segment rebuilds the ISN, so there is no reset."""
    outcome = run_cell(
        DRAFT,
        overrides={"paths.1.drop.up": drops},
        workload=Workload(request=9 * MSS + 10, response=10_000),
        isn_recovery=True,
    )
    ((client, server),) = ends(outcome)
    assert verdict(client, server) == wanted, why(client, server)
    assert client["intact"], why(client, server)
    assert server is not None
    assert server["intact"], why(client, server)


@pytest.mark.parametrize("cookies", [OFF, ALWAYS])
@pytest.mark.parametrize("drops", list(UP))
def test_plain_tcp_takes_the_same_losses(drops: str, cookies: SynCookies) -> None:
    outcome = run_cell(
        Profile.TCP,
        overrides={"paths.1.drop.up": UP[drops], "paths.1.drop.down": DOWN.get(drops, ())},
        cookies=cookies,
        workload=Workload(request=9 * MSS + 10, response=10_000),
    )
    ((client, server),) = ends(outcome)
    wanted = "reset" if cookies is ALWAYS and drops == "third_ack+data:1" else "tcp"
    assert client["verdict"] == wanted, why(client, server)


@pytest.mark.parametrize("profile", [V0, DRAFT, V1])
def test_server_speaks_first_and_never_hears_of_the_client(profile: Profile) -> None:
    """Stateless, third ACK lost, the client waits: a hang in every profile (RFC 4987 §3.6)."""
    outcome = run_cell(
        profile,
        overrides={"paths.1.drop.up": ("third_ack",)},
        workload=Workload(request=0, response=10_000),
    )
    ((client, server),) = ends(outcome)
    assert (client["verdict"], client["reason"]) == ("hang", "no_progress")
    assert server is None
    assert client["bytes_received"] == 0
