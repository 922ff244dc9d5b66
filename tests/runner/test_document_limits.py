"""A small file can stand for very much, or for nothing that can be: one error, at once, with line and key."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from testbed.errors import UserError
from testbed.link.params import LinkParams
from testbed.mptcp.bounds import BOUNDS
from testbed.plan.shaping import WORDS
from testbed.runner import load_experiment
from testbed.runner.document import FOR_USERS, dump, parse, parse_set
from testbed.runner.spec import Experiment, model_of

AT_ONCE = 5.0  # seconds, on a busy machine; most take milliseconds
HEAD = "topology: {name: two_path}\n"

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 10)}]\n" for n in range(20)
)
MAPPING_BOMB = "a: &a {k: 1, l: 2}\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} {{k: *{chr(97 + n)}, l: *{chr(97 + n)}, m: *{chr(97 + n)}}}\n"
    for n in range(20)
)
LADDER = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 100))

TEXTS = {
    "alias bomb": (BOMB, r":\d+: more than 50,000 values"),
    "bomb of mappings": (MAPPING_BOMB, "more than 50,000 values"),
    "bomb as a key": (BOMB + "? *h\n: 1\n", "more than 50,000 values|expected a word as key"),
    "aliases nested in aliases": (LADDER, "nested more than 32 deep"),
    "itself in a list": ("vary: &v [*v]\n", r":1: vary\.0: contains itself"),
    "itself in a mapping": ("client: &c {tcp: *c}\n", r":1: client\.tcp: contains itself"),
    "itself far below": ("a: &a {b: {c: [1, {d: *a}]}}\n", "contains itself"),
    "itself as a key": ("? &a [*a]\n: 1\n", "expected a word as key"),
    "the whole in itself": ("&a\nb: *a\n", "contains itself"),
    "nested brackets": ("question: " + "[" * 5000 + "]" * 5000, r":1: nested more than 32 deep"),
    "nested brackets, never closed": ("question: " + "[" * 5000, "nested more than 32 deep"),
    "nested braces": ("question: " + "{a: " * 5000 + "}" * 5000, "nested more than 32 deep"),
    "nested dashes": ("question:\n  " + "- " * 5000 + "x\n", "nested more than 32 deep"),
    "nested keys": ("".join("  " * n + f"k{n}:\n" for n in range(1000)), "nested more than 32 deep"),
    "nested question marks": (
        "? " * 5000 + "x\n",
        "nested more than 32 deep|expected a word as key|not YAML",
    ),
    "many digits": ("connections: " + "9" * 5000, r":1: connections: a number of 5,000 characters"),
    "many hex digits": ("seed: 0x" + "f" * 5000, r"seed: a number of 5,002 characters"),
    "many octal digits": ("seed: 0o" + "7" * 5000, "seed: a number of"),
    "many decimals": ("seed: 1." + "0" * 5000, "seed: a number of"),
    "a number beyond 64 bits": ("seed: 9223372036854775808", r"seed: .*at most 9223372036854775807"),
    "infinity by exponent": ("workload: {arrivals: 1e400}", r":1: workload\.arrivals: 1e400 is infinite"),
    "minus infinity": ("workload: {arrivals: -1e999}", "infinite"),
    "a word that is no number": ("connections: .nan", r"connections: expected a whole number, not '\.nan'"),
    "many items": ("question: [" + "1, " * 60_000 + "]", "more than 50,000 values"),
    "many keys": ("\n".join(f"k{n}: 1" for n in range(60_000)), "more than 50,000 values"),
    "a long text": ("question: " + "x" * 20_000, "question: a text of 20,000 characters"),
    "a long key": ("x" * 1000 + ": 1\n" + HEAD, r"\(1,000 characters\).*unknown key"),
    "a long file": ("# " + "x" * (2 << 20), "more than 1,048,576 characters"),
    "a control character": ("question: \x1b[31mred", "U\\+001B"),
    "an escaped one": ('question: "\\e[31mred"', r":1: question: the control character U\+001B"),
    "a deceiving direction": ('question: "a\\u202Eb"', r"U\+202E"),
    "one in a key": ('"a\\e[2J": 1', r"U\+001B"),
    "a newline in a key": ('"a\\nb": 1', "expected a key on one line"),
    "zeros": ("\0" * 100, r":1: not YAML: the control character U\+0000"),
    "a tag of Python": ("question: !!python/object/apply:os.system [ls]", "tag .* is not supported"),
    "a tag of a set": ("client: !!set {a, b}", "tag .* is not supported"),
    "binary": ("question: !!binary aGVsbG8=", "tag .* is not supported"),
    "a date": ("question: !!timestamp 2001-01-01", "tag .* is not supported"),
    "a wrong number": ("seed: !!int abc", "'abc' does not suit the tag !!int"),
    "a wrong truth": ("capture: !!bool perhaps", "does not suit the tag !!bool"),
    "a wrong nothing": ("question: !!null x", "does not suit the tag !!null"),
    "a wrong float": ("seed: !!float one", "does not suit the tag !!float"),
    "two documents": ("a: 1\n---\nb: 2\n", "not YAML"),
    "an unknown alias": ("a: *b\n", "not YAML"),
    "merge": ("a: &a {b: 1}\nc: {<<: *a}\n", "unknown key"),
    "not a mapping": ("[1, 2]", "expected keys and values"),
    "nothing": ("", "expected keys and values"),
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_one_error_at_once(text: tuple[str, str], tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text[0])
    began = time.monotonic()
    with pytest.raises(UserError, match=text[1]) as caught:
        load_experiment(file)
    assert time.monotonic() - began < AT_ONCE
    assert str(caught.value).startswith(f"{file}:")
    assert max(map(len, str(caught.value).splitlines())) < 1000


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_a_set_is_read_within_the_same_limits(text: tuple[str, str]) -> None:
    began = time.monotonic()
    said = _error_of(lambda: parse_set(f"question={text[0]}"))
    assert said.startswith(("--set question=", "fine"))
    assert max(map(len, said.splitlines())) < 1000
    assert time.monotonic() - began < AT_ONCE


@pytest.mark.parametrize("special", ["/dev/zero", "/dev/null", "/", "x" * 5000 + ".yaml", "a\0.yaml"])
def test_a_place_that_is_no_file(special: str) -> None:
    began = time.monotonic()
    with pytest.raises(UserError):
        load_experiment(special)
    assert time.monotonic() - began < AT_ONCE


def _error_of(work: Callable[[], object]) -> str:
    try:
        work()
    except UserError as error:
        return str(error)
    return "fine"


def test_aliases_work_within_the_limits() -> None:
    assert parse("a: &a [1, 2]\nb: {c: *a, d: *a}\n", "f").data == {
        "a": [1, 2],
        "b": {"c": [1, 2], "d": [1, 2]},
    }
    document = parse("a: &a [1]\nb: *a\n", "f")
    document.set("b", [2], "here")
    assert document.data["a"] == [1]


def test_numbers_are_those_of_yaml_1_2() -> None:
    read = parse("a: 010\nb: 0o17\nc: 0x1F\nd: -5\ne: 1e3\nf: .5\ng: 5.\nh: +7\ni: ~\nj: True\n", "f").data
    assert read == {
        "a": 10,
        "b": 15,
        "c": 31,
        "d": -5,
        "e": 1000.0,
        "f": 0.5,
        "g": 5.0,
        "h": 7,
        "i": None,
        "j": True,
    }


@pytest.mark.parametrize(
    ("vary", "said"),
    [
        (
            {f"client.tcp.k{n}": list(range(10)) for n in range(7)},
            "10,000,000 cells; expected at most 10,000",
        ),
        ({f"paths.{n}.loss": [0, 1] for n in range(500)}, "cells; expected at most 10,000"),
        ({f"paths.{n}.loss": [0, 1] for n in range(5000)}, "far too many cells"),
        ({"connections": list(range(1, 20_000))}, "19,999 values make 19,999 cells"),
    ],
)
def test_cells_are_counted_before_they_are_checked(vary: dict[str, Any], said: str, tmp_path: Path) -> None:
    file = tmp_path / "many.yaml"
    file.write_text(dump({"topology": {"name": "two_path"}, "vary": vary}))
    began = time.monotonic()
    with pytest.raises(UserError, match=rf"{file}:\d+: vary: .*{said}"):
        load_experiment(file)
    assert time.monotonic() - began < 2 * AT_ONCE


def test_runs_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "many.yaml"
    cells = ", ".join(map(str, range(1, 201)))
    file.write_text(f"{HEAD}vary: {{connections: [{cells}]}}\nrepeats: 100000\n")
    with pytest.raises(UserError, match=r":3: repeats: 200 cells run 100,000 times are more than 1,000,000"):
        load_experiment(file)
    for line, said in (("repeats: 1000000000", "repeats: expected"), ("jobs: 1000000000", "jobs: expected")):
        file.write_text(f"{HEAD}{line}\n")
        with pytest.raises(UserError, match=f":2: {said}"):
            load_experiment(file)


# Ranges, by the name of the key.


def _key(owner: type, name: str) -> list[str]:
    heads = {"TcpConfig": ["client.tcp", "server.tcp"], "MptcpConfig": ["client.mptcp", "server.mptcp"]}
    heads |= {"ClientConfig": ["client"], "ServerConfig": ["server"]}
    return [f"{head}.{name}" for head in heads[owner.__name__]]


KEYS = [(key, *bounds) for (owner, name), bounds in BOUNDS.items() for key in _key(owner, name)]
TIMES = ("rto_initial", "rto_min", "rto_max", "delayed_ack", "time_wait", "close_timeout")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("plain") / "plain.yaml"
    file.write_text(HEAD + "connections: 1\n")
    return file


@pytest.mark.parametrize(("key", "least", "most"), KEYS)
def test_a_number_out_of_its_range_names_the_key(key: str, least: int, most: int, plain: Path) -> None:
    unit = "ns" if key.endswith(TIMES) else ""
    for value in (least - 1, most + 1, -1, 0 if least > 0 else most + 2, 10**9 * most):
        with pytest.raises(UserError, match=rf"^--set {key}=\S+: {key}: expected"):
            load_experiment(plain, [f"{key}={value}{unit}"])
    for value in (least, most):
        load_experiment(plain, [f"{key}={value}{unit}", *_beside(key, value)])


def _beside(key: str, value: int) -> list[str]:
    """RTOs have an order; the others follow the one that is tried."""
    if not key.rpartition(".")[2].startswith("rto_"):
        return []
    head = key.rpartition(".")[0]
    return [f"{head}.{name}={value}ns" for name in ("rto_min", "rto_initial", "rto_max")]


@pytest.mark.parametrize(
    "line",
    [
        "window_scale: 255",
        "initial_window: 0",
        "syn_attempts: 0",
        "data_attempts: 0",
        "rto_initial: 0",
        "rto_min: 0",
        "rto_max: 0s",
        "mss: 0",
        "delayed_ack: 10s",
    ],
)
@pytest.mark.parametrize("role", ["client", "server"])
def test_impossible_numbers_of_tcp(role: str, line: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(f"{HEAD}{role}:\n  tcp:\n    {line}\n")
    with pytest.raises(UserError, match=rf":4: {role}\.tcp\.{line.split(':')[0]}: expected .* to .*, not"):
        load_experiment(file)


@pytest.mark.parametrize("sets", [["client.tcp.rto_min=2s", "client.tcp.rto_max=1s"]])
def test_retransmission_timeouts_have_an_order(sets: list[str], plain: Path) -> None:
    with pytest.raises(UserError, match=r"client\.tcp\.rto_min: 2s is above rto_max"):
        load_experiment(plain, sets)


def _leaves(model: type[BaseModel], above: str = "") -> list[str]:
    found = []
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel) and kind.model_fields:
            found += _leaves(kind, f"{above}{field.alias or name}.")
        else:
            found.append(f"{above}{field.alias or name}")
    return found


EVERY_KEY = [
    *_leaves(Experiment),
    *(f"paths.*.{word}" for word in WORDS),
    *(f"paths.1.{word}.up" for word in WORDS),
    "topology.bw",
    "topology.delay",
    "topology.paths",
    "traffic",
    "expect.v0",
    "vary.client.tcp.mss",
]
ODD = [
    *(
        "0",
        "-1",
        "1",
        "255",
        "65536",
        "9223372036854775807",
        "-9223372036854775808",
        "1e300",
        "-1e300",
        "5e-324",
    ),
    *("nan", "inf", "-inf", ".nan", ".inf", "'1e400'", "'nan%'", "'inf%'", "'1e400%'", "'-1%'", "'1e400ms'"),
    *(
        "1e400",
        "'1e308s'",
        "'1e300B'",
        "'1e400/s'",
        "0/s",
        "'1e-320/s'",
        "''",
        "' '",
        "null",
        "true",
        "[]",
        "{}",
    ),
    *(
        "[[]]",
        "[null]",
        "[{}]",
        "{a: 1}",
        "[1, 2]",
        "'\u0661'",
        "'\u0661\u0662ms'",
        "'1e5'",
        "'0x10'",
        "'1_000'",
    ),
    *(
        f"'{'9' * 5000}'",
        f"'{'9' * 5000}ms'",
        f"'{'9' * 5000}B'",
        f"'0.{'0' * 5000}1%'",
        "9" * 5000,
        "x" * 9000,
    ),
    *(f"['{'9' * 5000}']", f"syn:{'9' * 5000}", f"'data:1@{'9' * 5000}'", f"'10.0.1.1 id {'9' * 5000}'"),
    *(
        "'=1+1'",
        "'@x'",
        "'\\x1b[31m'",
        "'a\u00a0b'",
        "2001-01-01",
        "'p=1e400% r=nan%'",
        "{1s: {loss: 1e400}}",
    ),
    *("{p: .nan, r: 1}", "['0s-99999999999999s']", f"'subflow {'9' * 5000}'", f"split size={'9' * 5000}"),
]


@pytest.mark.parametrize("key", sorted(set(EVERY_KEY)))
def test_any_value_of_any_key_is_fine_or_one_error(key: str, plain: Path) -> None:
    """No traceback, at once, and the key is named."""
    for value in ODD:
        began = time.monotonic()
        said = _error_of(lambda text=f"{key}={value}": load_experiment(plain, [text]))  # type: ignore[misc]
        assert max(map(len, said.splitlines())) < 1500, (key, value[:50], said[:300])
        assert time.monotonic() - began < AT_ONCE, (key, value[:50])


_scalars = st.one_of(
    st.sampled_from(ODD),
    st.integers().map(str),
    st.floats().map(str),
    st.text(max_size=20),
    st.from_regex(r"[0-9]{1,30}(\.[0-9]*)?(e[0-9]{1,4})? ?(ms|s|B|KB|%|/s|Mbit)?", fullmatch=True),
)


@settings(max_examples=150)
@given(key=st.sampled_from(sorted(set(EVERY_KEY))), value=_scalars)
def test_a_drawn_value_of_a_drawn_key(key: str, value: str, plain: Path) -> None:
    try:
        campaign = load_experiment(plain, [f"{key}={value}"])
    except UserError:
        return
    for cell in campaign.cells:
        for name, (least, most) in ((name, BOUNDS[owner, name]) for owner, name in BOUNDS):
            for part in (cell.cell.client, cell.cell.server):
                holder = getattr(getattr(part, "tcp", None), name, None)
                assert holder is None or least <= holder <= most


def test_every_number_of_a_configuration_is_a_key() -> None:
    for owner, name in BOUNDS:
        assert name in model_of(owner).model_fields
    assert FOR_USERS.values == 50_000
    assert LinkParams().queue == 100


def test_an_endless_topology_costs_its_time_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("testbed.plan.confined.MOST_SECONDS", 1.0)
    (tmp_path / "mine.py").write_text("while True:\n    pass\n")
    file = tmp_path / "mine.yaml"
    losses = ", ".join(map(str, range(50)))
    file.write_text(f"topology: {{file: mine.py}}\nvary: {{paths.*.loss.up: [{losses}]}}\n")
    began = time.monotonic()
    with pytest.raises(UserError, match=r"mine\.yaml:1: topology: .*mine\.py, line \d: not done after 1 s"):
        load_experiment(file)
    assert time.monotonic() - began < AT_ONCE
    (tmp_path / "mine.py").write_text("raise ValueError('another error')\n")
    with pytest.raises(UserError, match="another error"):
        load_experiment(file)
