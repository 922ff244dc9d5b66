"""The words of exact drops: what they mean, and what the errors say."""

from __future__ import annotations

import pytest

from testbed.errors import UserError
from testbed.link import WORDS, LinkParams, parse_drops, parse_rule


@pytest.mark.parametrize(
    ("text", "word", "first", "last"),
    [
        ("third_ack", "third_ack", 1, 1),
        ("syn", "syn", 1, 1),
        ("syn:2", "syn", 2, 2),
        ("syn:1-3", "syn", 1, 3),
        ("syn x3", "syn", 1, 3),
        (" SYN X3 ", "syn", 1, 3),
        ("synack", "synack", 1, 1),
        ("synack x 2", "synack", 1, 2),
        ("data:1", "data", 1, 1),
        ("data:7-9", "data", 7, 9),
        ("packet:100", "packet", 100, 100),
    ],
)
def test_meaning(text: str, word: str, first: int, last: int) -> None:
    rule = parse_rule(text)
    assert (rule.word, rule.first, rule.last) == (word, first, last)


@pytest.mark.parametrize(
    "text", ["", "ack", "third ack", "data:", "data:x", "data:-1", "syn:1-", "syn x", "data:1;", "datax:1"]
)
def test_no_rule_names_the_words(text: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_rule(text)
    assert all(word in str(caught.value) for word in WORDS)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("text", ["data:0", "syn:3-1", "syn x0", "third_ack:2"])
def test_rule_that_covers_nothing(text: str) -> None:
    with pytest.raises(UserError, match=r"covers nothing|one third ACK"):
        parse_rule(text)


def test_joined_rules() -> None:
    assert parse_drops("third_ack+data:1") == ("third_ack", "data:1")
    assert parse_drops("third_ack, syn x3") == ("third_ack", "syn x3")
    assert parse_drops("") == ()
    with pytest.raises(UserError):
        parse_drops("third_ack+nothing")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"loss": 1.2}, "loss: 120 %"),
        ({"loss": -0.1}, "loss: -10 %"),
        ({"reorder": 2}, "reorder: 200 %"),
        ({"duplicate": 1.01}, "duplicate: 101 %"),
        ({"rate": 0}, "rate: 0 bit/s"),
        ({"queue": 0}, "queue: 0 packets"),
        ({"delay": -1}, "delay: -1 ns"),
        ({"jitter": 2, "delay": 1}, "more than the delay"),
        ({"drops": ("third",)}, "'third' is not a rule"),
    ],
)
def test_values_that_make_no_sense(values: dict[str, object], expected: str) -> None:
    with pytest.raises(UserError, match=r"expected|delay|rule") as caught:
        LinkParams(**values)  # type: ignore[arg-type]
    assert expected in str(caught.value)
