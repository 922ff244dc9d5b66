"""DATA_FINs and the FINs behind them, in every order. Read first: RFC 8684 §3.3.3, Appendix D."""

from __future__ import annotations

from itertools import pairwise

import pytest

from testbed.mptcp.config import Profile
from testbed.mptcp.reasons import Verdict
from testbed.mptcp.wire import FIN, RST, Dss, Segment
from tests.core.multipath import MPTCP_PROFILES, multipath, open_subflows
from tests.pair import MILLISECOND, SECOND, Pair


def data_fins(pair: Pair, way: str) -> list[int]:
    """When a DATA_FIN left, of each copy."""
    return [one.time for one in pair.crossings if one.way == way and _dss(one.segment, "data_fin")]


def fins(pair: Pair, way: str) -> list[int]:
    return [one.time for one in pair.crossings if one.way == way and one.segment.flags & FIN]


def _dss(segment: Segment, field: str) -> bool:
    return any(isinstance(one, Dss) and getattr(one, field) for one in segment.options)


def opened(profile: Profile, paths: int) -> Pair:
    pair = multipath(paths, profile)
    open_subflows(pair, paths)
    pair.run(until=pair.now + SECOND)
    return pair


def ended_well(pair: Pair, paths: int) -> None:
    """Each side's FINs, one on each subflow, come behind both DATA_FINs; nobody needs a reset."""
    for side in (pair.client, pair.server):
        end = side.closed()
        assert end is not None
        assert (end.clean, end.verdict) == (True, Verdict.MPTCP)
        assert side.report().closed_by == "data_fin"
        assert len(side.endpoint) == 0
    both = max(min(data_fins(pair, "up")), min(data_fins(pair, "down")))
    for way in ("up", "down"):
        assert len(fins(pair, way)) == paths
        assert min(fins(pair, way)) >= both + 10 * MILLISECOND
    assert not any(one.segment.flags & RST for one in pair.crossings)


@pytest.mark.parametrize("paths", [1, 2])
@pytest.mark.parametrize("profile", MPTCP_PROFILES)
@pytest.mark.parametrize("order", ["client", "server", "both"])
def test_who_closes_first(profile: Profile, order: str, paths: int) -> None:
    """M_FIN_WAIT_1 and M_FIN_WAIT_2, M_CLOSE_WAIT and M_LAST_ACK, or M_CLOSING at both ends; M_TIME_WAIT."""
    pair = opened(profile, paths)
    first, second = (pair.client, pair.server) if order == "client" else (pair.server, pair.client)
    first.close()
    if order != "both":
        pair.run(until=second.finished)
        pair.run(until=pair.now + 30 * SECOND)  # half closed, as long as it pleases
        assert fins(pair, "up") == fins(pair, "down") == []
        second.send(b"still here")
        pair.run(until=lambda: first.received().endswith(b"still here"))
        assert not first.finished()
    second.close()
    pair.run()
    ended_well(pair, paths)


@pytest.mark.parametrize("profile", MPTCP_PROFILES)
@pytest.mark.parametrize("lost", [1, 3])
def test_a_lost_data_fin_comes_again(profile: Profile, lost: int) -> None:
    """No subflow repeats it: it has a timer of its own, and tries another subflow each time."""
    pair = opened(profile, 2)
    taken: list[Segment] = []

    def lose(way: str, number: int, segment: Segment) -> bool:
        if way == "up" and len(taken) < lost and _dss(segment, "data_fin"):
            taken.append(segment)
            return True
        return False

    pair.lose = lose
    pair.client.close()
    pair.run(until=pair.server.finished)
    assert len({segment.src for segment in taken}) == min(lost, 2)
    gaps = [later - earlier for earlier, later in pairwise(data_fins(pair, "up"))]
    assert gaps == sorted(gaps)
    pair.server.close()
    pair.run()
    ended_well(pair, 2)


@pytest.mark.parametrize("profile", MPTCP_PROFILES)
def test_a_lost_answer_to_a_data_fin(profile: Profile) -> None:
    pair = opened(profile, 2)
    until = pair.now + 3 * SECOND
    pair.lose = lambda way, number, segment: way == "down" and pair.now < until
    pair.client.close()
    pair.run(until=pair.now + 10 * SECOND)
    assert len(data_fins(pair, "up")) > 2
    assert sum(type(event).__name__ == "PeerFinished" for _, event in pair.server.events) == 1
    pair.server.close()
    pair.run()
    ended_well(pair, 2)


@pytest.mark.parametrize("profile", MPTCP_PROFILES)
def test_the_data_fin_waits_for_the_data(profile: Profile) -> None:
    """Not acknowledged before all that comes before it is there (RFC 8684 §3.3.3)."""
    pair = opened(profile, 2)
    lost: list[Segment] = []

    def lose(way: str, number: int, segment: Segment) -> bool:
        if way == "up" and segment.payload and not lost:
            lost.append(segment)
            return True
        return False

    pair.lose = lose
    pair.client.send(bytes(range(250)) * 40)
    pair.client.close()
    pair.run(until=lambda: bool(data_fins(pair, "up")))
    pair.run(until=pair.now + 15 * MILLISECOND)
    assert not pair.server.finished()
    pair.run(until=pair.server.finished)
    assert pair.server.received()[1:] == bytes(range(250)) * 40
    pair.server.close()
    pair.run()
    ended_well(pair, 2)
