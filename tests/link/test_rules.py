"""The words of exact drops: what they mean, and what the errors say."""

from __future__ import annotations

import pytest

from testbed.errors import UserError
from testbed.link import WORDS, Change, LinkParams, parse_drops, parse_rule


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
        ("dss", "dss", 1, 1),
        ("mp_join:2", "mp_join", 2, 2),
    ],
)
def test_meaning(text: str, word: str, first: int, last: int) -> None:
    rule = parse_rule(text)
    assert (rule.word, rule.ranges) == (word, ((first, last),))


@pytest.mark.parametrize(
    "text", ["", "acks", "third ack", "data:", "data:x", "data:-1", "syn:1-", "syn x", "data:1;", "datax:1"]
)
def test_no_rule_names_the_words(text: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_rule(text)
    assert all(word in str(caught.value) for word in WORDS)
    assert repr(text) in str(caught.value)


def test_several_numbers_and_whose_they_are() -> None:
    assert parse_rule("packet:1+3-5").ranges == ((1, 1), (3, 5))
    assert parse_rule("packet:1+3").together
    assert parse_rule("data:2@3").connection == 3
    assert parse_rule("third_ack:5@all").together
    assert parse_rule("syn@10.0.2.1").address == bytes((10, 0, 2, 1))
    assert parse_rule("syn@10.0.2.1:80").port == 80
    six = parse_rule("data:1@[fd00::1]:80")
    assert (six.address, six.port) == (bytes.fromhex("fd00" + 26 * "0" + "01"), 80)
    assert parse_rule("data:1@fd00::1").port is None


@pytest.mark.parametrize("text", ["syn@", "syn@client", "syn@10.0.2", "syn@10.0.2.1:", "syn@0"])
def test_a_connection_that_is_none(text: str) -> None:
    with pytest.raises(UserError, match=r"is no connection|is not a rule|covers nothing"):
        parse_rule(text)


@pytest.mark.parametrize("text", ["data:0", "syn:3-1", "syn x0", "third_ack:2", "data:1+0"])
def test_rule_that_covers_nothing(text: str) -> None:
    with pytest.raises(UserError, match=r"covers nothing|one third ACK"):
        parse_rule(text)


def test_joined_rules() -> None:
    assert parse_drops("third_ack+data:1") == ("third_ack", "data:1")
    assert parse_drops("third_ack, syn x3") == ("third_ack", "syn x3")
    assert parse_drops("packet:1+3+4") == ("packet:1+3+4",)
    assert parse_drops("packet:1, 3-5@2, syn") == ("packet:1+3-5@2", "syn")
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
        ({"corrupt": 3}, "corrupt: 300 %"),
        ({"jitter_order": "none"}, "jitter_order: 'none'; expected keep or any"),
        ({"burst": "p=1%"}, "burst: 'p=1%' is no burst; expected p and r"),
        ({"burst": "p=1% q=2%"}, "burst: 'q=2%' is not understood; expected p, r, good, bad"),
        ({"burst": "p=101% r=2%"}, "burst: p: '101%' is no share"),
        ({"blackouts": ("3s-2s",)}, "blackout: '3s-2s' is no interval; expected"),
        ({"red": "auto"}, "red: 'auto' needs a rate"),
        ({"red": "auto", "rate": 40_000_000}, "red: the limit, 400 packets, is beyond the queue of 100"),
        ({"red": "min=9 max=5", "rate": 1_000_000}, "expected min < max <= limit"),
        ({"red": "min=9 max=5kB", "rate": 1_000_000}, "one unit is expected"),
        ({"red": "weight=2", "rate": 1_000_000}, "weight: '2' is no weight; expected"),
        (
            {"delay": 5, "changes": (Change(10**9, (("delay", 1),)), Change(10**6, (("jitter", 2),)))},
            "at 1 s",
        ),
    ],
)
def test_values_that_make_no_sense(values: dict[str, object], expected: str) -> None:
    with pytest.raises(UserError, match=r"expected|delay|rule|red") as caught:
        LinkParams(**values)  # type: ignore[arg-type]
    assert expected in str(caught.value)
