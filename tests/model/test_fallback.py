"""The closed forms against published numbers, against each other, and against dice."""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import dataclass

import pytest
from scipy.stats import binom

from testbed.errors import UserError
from testbed.model import Prediction, predict
from testbed.model.fallback import PROFILES

POINTS = (0.001, 0.01, 0.02, 0.05, 0.10, 0.20)
VERDICTS = ("mptcp", "tcp", "fallback", "reset", "hang")
NEVER = 60  # SYN retries that no plain SYN can follow


@dataclass(frozen=True)
class Game:
    """What the dice are thrown for; the words of `predict`."""

    profile: str
    p: float
    n: int
    k: int
    isn_recovery: bool = False
    third_ack: str = "bare"
    held: float = 0.0
    syns: float = math.inf
    lone_after: float = math.inf

    def predict(self) -> Prediction:
        words = {
            name: getattr(self, name) for name in ("isn_recovery", "third_ack", "held", "syns", "lone_after")
        }
        return predict(self.profile, self.p, self.n, self.k, **words)


def dice(rng: random.Random, game: Game) -> str:
    """One connection, packet by packet, from the protocol's rules and not from the formula."""

    def lost() -> bool:
        return rng.random() < game.p

    def held() -> bool:
        return rng.random() < game.held

    syns = 1
    while lost():
        syns += 1
        if syns > game.syns:
            return "hang"
    plain = game.profile != "tcp" and syns > game.k + 1
    speaks = "tcp" if plain else game.profile
    good = "tcp" if game.profile == "tcp" else "fallback" if plain else "mptcp"
    bare = game.third_ack == "bare" or speaks == "v0" or not game.n
    third_ack = bare and not lost()
    if not game.n:
        return good if third_ack else "hang"
    segments = [lost() for _ in range(1 if syns > game.lone_after else game.n)]
    overtaken = third_ack and held() and not segments[0] and not held()
    if third_ack and not overtaken:
        return good
    if segments[0] and not all(segments[1:]) and not (game.isn_recovery and speaks in ("v0", "draft")):
        return "reset"
    # The first segment, or a copy of it, arrives and brings the cookie back.
    return "fallback" if speaks == "v0" else good


def hold_against_dice(game: Game, trials: int = 20_000) -> None:
    rng = random.Random(str(game))
    seen = Counter(dice(rng, game) for _ in range(trials))
    said = game.predict()
    for verdict in VERDICTS:
        expected = getattr(said, verdict)
        low, high = binom.ppf(1e-6, trials, expected), binom.ppf(1 - 1e-6, trials, expected)
        assert low <= seen[verdict] <= high, (verdict, game, seen, said)


@pytest.mark.parametrize("third_ack", ["bare", "piggyback"])
@pytest.mark.parametrize("isn_recovery", [False, True])
@pytest.mark.parametrize("lone_after", [math.inf, 1, 2])
@pytest.mark.parametrize("profile", PROFILES)
def test_formula_agrees_with_dice(
    profile: str, lone_after: float, isn_recovery: bool, third_ack: str
) -> None:
    for p, n, k in ((0.2, 1, 0), (0.2, 10, 1), (0.3, 2, 2), (0.05, 3, 0)):
        hold_against_dice(Game(profile, p, n, k, isn_recovery, third_ack, lone_after=lone_after))


@pytest.mark.parametrize("k", [0, 2, 5])
@pytest.mark.parametrize("n", [0, 1, 4])
@pytest.mark.parametrize("profile", PROFILES)
def test_patience_ends_after_some_syns(profile: str, n: int, k: int) -> None:
    hold_against_dice(Game(profile, 0.4, n, k, syns=3, lone_after=2), 10_000)


@pytest.mark.parametrize("third_ack", ["bare", "piggyback"])
@pytest.mark.parametrize("n", [0, 1])
@pytest.mark.parametrize("profile", PROFILES)
def test_what_is_held_back_is_overtaken(profile: str, n: int, third_ack: str) -> None:
    for p in (0.0, 0.2):
        hold_against_dice(Game(profile, p, n, 2, third_ack=third_ack, held=0.4), 10_000)


def test_an_overtaken_third_ack_counts_as_lost_in_v0_alone() -> None:
    for r in (0.0, 0.02, 0.4, 1.0):
        assert predict("v0", 0, held=r).fallback == pytest.approx(r * (1 - r))
        assert predict("draft", 0, held=r).mptcp == predict("v1", 0, held=r).mptcp == 1


def test_a_server_that_speaks_first_waits_for_the_third_ack() -> None:
    for profile in PROFILES:
        for p in POINTS:
            said = predict(profile, p, 0, syns=6)
            assert said.hang == pytest.approx(p + (1 - p) * p**6)
            assert said.reset == 0
            assert predict(profile, p, 1, syns=6).hang == p**6


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
    for profile in PROFILES:
        for p in (0.0, 0.3, 1.0):
            for n, syns in ((4, math.inf), (4, 2), (0, 3)):
                said = predict(profile, p, n, 1, syns=syns)
                assert math.isclose(sum(getattr(said, verdict) for verdict in VERDICTS), 1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("v2", 0.1), "v0, draft, v1"),
        (("v1", 1.2), "120 percent"),
        (("v1", 0.1, -1), "the server speaks first"),
        (("v1", 0.1, 1, -1), "0 or more"),
    ],
)
def test_nonsense_is_refused(arguments: tuple[str, float], words: str) -> None:
    with pytest.raises(UserError, match=words):
        predict(*arguments)


def test_nonsense_of_the_further_words_is_refused() -> None:
    with pytest.raises(UserError, match="held: known for one segment"):
        predict("v0", 0.1, 2, held=0.1)
    with pytest.raises(UserError, match="held: expected 0 to 100 percent"):
        predict("v0", 0.1, held=-0.1)
    with pytest.raises(UserError, match="1 or more"):
        predict("v0", 0.1, syns=0)
