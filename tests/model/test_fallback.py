"""The closed forms against published numbers, against each other, and against dice."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest
from scipy.stats import binom

from testbed.errors import UserError
from testbed.model import predict

POINTS = (0.001, 0.01, 0.02, 0.05, 0.10, 0.20)
NEVER = 60  # SYN retries that no plain SYN can follow


def dice(
    rng: random.Random,
    profile: str,
    p: float,
    n: int,
    k: int,
    isn_recovery: bool,
    third_ack: str,
    lone: bool,
) -> str:
    """One connection, packet by packet, from the protocol's rules and not from the formula."""

    def lost() -> bool:
        return rng.random() < p

    syns = 1
    while lost():
        syns += 1
    plain = profile != "tcp" and syns > k + 1
    speaks = "tcp" if plain else profile
    bare = third_ack == "bare" or speaks == "v0"
    if bare and not lost():
        return "tcp" if profile == "tcp" else "fallback" if plain else "mptcp"
    segments = [lost() for _ in range(1 if lone and syns > 1 else n)]
    if segments[0]:
        later = not all(segments[1:])
        recovers = isn_recovery and speaks in ("v0", "draft")
        if later and not recovers:
            return "reset"
    # The first segment, or a copy of it, arrives and brings the cookie back.
    if profile == "tcp":
        return "tcp"
    return "fallback" if plain or speaks == "v0" else "mptcp"


@pytest.mark.parametrize("third_ack", ["bare", "piggyback"])
@pytest.mark.parametrize("isn_recovery", [False, True])
@pytest.mark.parametrize("lone", [False, True])
@pytest.mark.parametrize("profile", ["tcp", "v0", "draft", "v1"])
def test_formula_agrees_with_dice(profile: str, lone: bool, isn_recovery: bool, third_ack: str) -> None:
    rng = random.Random(f"{profile} {lone} {isn_recovery} {third_ack}")
    trials = 20_000
    for p, n, k in ((0.2, 1, 0), (0.2, 10, 1), (0.3, 2, 2), (0.05, 3, 0)):
        seen = Counter(dice(rng, profile, p, n, k, isn_recovery, third_ack, lone) for _ in range(trials))
        said = predict(
            profile,
            p,
            n,
            k,
            isn_recovery=isn_recovery,
            third_ack=third_ack,
            lone_segment_after_lost_syn=lone,
        )
        for verdict in ("mptcp", "tcp", "fallback", "reset"):
            expected = getattr(said, verdict)
            low, high = binom.ppf(1e-6, trials, expected), binom.ppf(1 - 1e-6, trials, expected)
            assert low <= seen[verdict] <= high, (verdict, p, n, k, seen, said)


def test_v0_with_one_segment_is_the_line() -> None:
    for p in POINTS:
        said = predict("v0", p, 1, NEVER)
        assert said.fallback == pytest.approx(p)
        assert said.reset == 0


def test_v0_with_ten_segments_published_numbers() -> None:
    fallback = (0.0010, 0.0099, 0.0196, 0.0475, 0.0900, 0.1600)
    reset = (0.0000, 0.0001, 0.0004, 0.0025, 0.0100, 0.0400)
    for p, falls, resets in zip(POINTS, fallback, reset, strict=True):
        said = predict("v0", p, 10, NEVER)
        assert said.fallback == pytest.approx(falls, abs=5e-5)
        assert said.reset == pytest.approx(resets, abs=5e-5)


@pytest.mark.parametrize("profile", ["draft", "v1"])
def test_key_in_first_data_never_falls_back_for_want_of_it(profile: str) -> None:
    for p in POINTS:
        assert predict(profile, p, 1, NEVER).fallback == pytest.approx(0, abs=1e-12)
        assert predict(profile, p, 10, 2).by_key == 0


def test_plain_syn_wins_with_the_power_of_the_loss() -> None:
    for k in (0, 1, 2, 3):
        for p in POINTS:
            assert predict("v1", p, 1, k).fallback == pytest.approx(p ** (k + 1))
            assert predict("v0", p, 1, k).fallback == pytest.approx(1 - (1 - p ** (k + 1)) * (1 - p))


def test_isn_recovery_leaves_only_the_resets_of_plain_connections() -> None:
    said = predict("draft", 0.2, 10, 2, isn_recovery=True)
    assert said.reset == pytest.approx(0.2**3 * 0.2**2 * (1 - 0.2**9))
    assert predict("v1", 0.2, 10, 2, isn_recovery=True) == predict("v1", 0.2, 10, 2)  # not in RFC 8684


def test_verdicts_add_up() -> None:
    for profile in ("tcp", "v0", "draft", "v1"):
        for p in (0.0, 0.3, 1.0):
            said = predict(profile, p, 4, 1)
            assert math.isclose(said.mptcp + said.tcp + said.fallback + said.reset, 1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("v2", 0.1), "v0, draft, v1"),
        (("v1", 1.2), "120 percent"),
        (("v1", 0.1, 0), "1 or more"),
        (("v1", 0.1, 1, -1), "0 or more"),
    ],
)
def test_nonsense_is_refused(arguments: tuple[str, float], words: str) -> None:
    with pytest.raises(UserError, match=words):
        predict(*arguments)
