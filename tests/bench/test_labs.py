"""A small round of the real thing, and words that are wrong."""

from __future__ import annotations

import shutil

import pytest

from testbed.bench.labs import LAB, PLAIN, SHAPED, Arguments, Outcome, Turn, measure, summary
from testbed.errors import UserError
from tests.namespaces import why_no_lab

REASON = why_no_lab() or (None if shutil.which("mnexec") else "needs Mininet's mnexec")


@pytest.mark.lab
@pytest.mark.skipif(REASON is not None, reason=str(REASON))
def test_all_sides_come_up_and_go_down() -> None:
    said: list[str] = []
    outcome = measure(Arguments(rounds=1, hosts=2), said.append)
    for turns in outcome.turns.values():
        (turn,) = turns
        assert 0 < turn.up + turn.down < turn.whole
        assert turn.cpu > 0
    assert outcome.turns[LAB][0].errors == outcome.turns[PLAIN][0].errors == 0
    assert len(said) == 1


def test_the_ratios_come_first() -> None:
    outcome = Outcome(hosts=19)
    for slower in (1, 2, 3):
        outcome.turns[LAB].append(Turn(up=0.3, down=0.1, errors=0, whole=0.6, cpu=0.5))
        outcome.turns[SHAPED].append(Turn(up=0.5 * slower, down=0.3 * slower, errors=38, whole=1.2, cpu=0.8))
        outcome.turns[PLAIN].append(Turn(up=0.1, down=0.1, errors=0, whole=0.3, cpu=0.4))
    title, shaped, plain, *sides = summary(outcome)
    assert title.startswith("20 nodes, 19 shaped links")
    assert shaped.startswith(f"ratio 0.25 (0.17..0.50) of {SHAPED}; 0.50 (0.50..0.50) with")
    assert plain.startswith(f"ratio 2.00 (2.00..2.00) of {PLAIN}; 2.00 (2.00..2.00) with")
    assert [side.endswith("; 38 errors of tc, unheeded") for side in sides] == [False, True, False]


@pytest.mark.parametrize("words", [{"rounds": 0}, {"hosts": 1}, {"hosts": 201}])
def test_words_that_are_wrong_are_named(words: dict[str, int]) -> None:
    (name,) = words
    with pytest.raises(UserError, match=f"--{name} {words[name]}"):
        Arguments(**words)
