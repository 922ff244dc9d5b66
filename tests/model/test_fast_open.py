"""The closed form of Fast Open against dice for every ACK. Packets: tests/runner/test_seed_experiments.py."""

from __future__ import annotations

import itertools
import random
from collections import Counter

import pytest
from scipy.stats import binom

from testbed.errors import UserError
from testbed.model import predict_fast_open, predict_linux_fast_open


def dice(rng: random.Random, profile: str, p: float, response: int, k: int, repeat: bool) -> str:
    """One connection, ACK by ACK in the order in which they are sent: with the keys, or without."""
    syns = 1
    while rng.random() < p:
        syns += 1
    if syns > k + 1:
        return "fallback"
    if syns > 1 or profile == "v0":
        return "mptcp"  # the key comes with the data, or came in the SYN
    keys = [True] + [repeat for _ in range(0, response, 2)]  # the third ACK; one for every second segment
    keys += [repeat, repeat]  # the DATA_FIN at 0.2 and 0.6 s
    while True:
        for has_keys in keys:
            if rng.random() >= p:
                return "mptcp" if has_keys else "fallback"
        keys = [True, repeat]  # the SYN/ACK once more, then the FIN


@pytest.mark.parametrize("response", [1, 3, 10])
@pytest.mark.parametrize("repeat", [True, False])
@pytest.mark.parametrize("profile", ["v0", "draft", "v1"])
def test_formula_agrees_with_dice(profile: str, repeat: bool, response: int) -> None:
    rng = random.Random(f"{profile} {repeat} {response}")
    trials = 20_000
    for p, k in ((0.2, 2), (0.1, 0)):
        seen = Counter(dice(rng, profile, p, response, k, repeat) for _ in range(trials))
        said = predict_fast_open(profile, p, response, k, repeat_keys=repeat)
        for verdict in ("mptcp", "fallback"):
            expected = getattr(said, verdict)
            low, high = binom.ppf(1e-6, trials, expected), binom.ppf(1 - 1e-6, trials, expected)
            assert low <= seen[verdict] <= high, (verdict, p, k, seen, said)


def linux_dice(rng: random.Random, p: float, k: int, m: int) -> str:
    """One connection of Linux's, packet by packet."""
    lost = next((count for count in range(m) if rng.random() >= p), None)
    if lost is None:
        return "hang"
    if lost == 0:
        return "mptcp"
    if lost > k:
        return "fallback"
    for (
        turn
    ) in itertools.count():  # data without a mapping; before its fourth copy the ACK of a second SYN/ACK
        if turn == 3 and rng.random() >= p:
            return "hang"
        if rng.random() >= p:
            return "fallback"
    raise AssertionError


def test_linux_agrees_with_dice() -> None:
    rng = random.Random("linux")
    trials = 40_000
    for p, k, m in ((0.2, 2, 3), (0.4, 1, 4), (0.05, 2, 7)):
        seen = Counter(linux_dice(rng, p, k, m) for _ in range(trials))
        said = predict_linux_fast_open(p, k, syns=m)
        for verdict in ("mptcp", "fallback", "hang"):
            expected = getattr(said, verdict)
            low, high = binom.ppf(1e-6, trials, expected), binom.ppf(1 - 1e-6, trials, expected)
            assert low <= seen[verdict] <= high, (verdict, p, k, seen, said)
        assert said.mptcp + said.fallback + said.hang == pytest.approx(1)


def test_without_loss_nothing_is_lost_and_with_the_keys_repeated_only_syns_are() -> None:
    for profile in ("v0", "draft", "v1"):
        assert predict_fast_open(profile, 0, repeat_keys=False).mptcp == 1
        said = predict_fast_open(profile, 0.2, syns=7)
        assert said.by_key == 0
        assert said.fallback == pytest.approx(0.2**3 - 0.2**7)
        assert said.mptcp + said.fallback + said.hang == pytest.approx(1)
    assert predict_fast_open("tcp", 0.2, syns=7).tcp == pytest.approx(1 - 0.2**7)


def test_nonsense_is_refused() -> None:
    with pytest.raises(UserError, match="v0, draft, v1"):
        predict_fast_open("v2", 0.1)
    with pytest.raises(UserError, match="1 to 10 segments"):
        predict_fast_open("v1", 0.1, 11)
    with pytest.raises(UserError, match="120 percent"):
        predict_fast_open("v1", 1.2)
