"""Text from outside reaches a terminal, a table, CSV and SVG without control characters and formulas."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.results.csv_text import cell, read_csv, to_csv, value_of
from testbed.terminal import abridged, plain, plain_word, shorten, shown, unsafe_character

TESTBED = [sys.executable, "-P", "-m", "testbed.cli"]
EVIL = "\x1b[31mred\x1b]0;title\x07\x9b2J\u202eright"

MINE = '''
from mininet.topo import Topo

class Mine(Topo):
    """A \x1b]0;title\x07cable."""
    def build(self, delay="1ms"):
        self.addHost("client")
        self.addHost("server")
        self.addLink("client", "server", delay=delay)

topos = {"mine\\x1b[31m": Mine}
'''


def harmless(text: str) -> bool:
    return not any(
        unicodedata.category(one) in ("Cc", "Cs", "Zl", "Zp") and one not in "\n\t" for one in text
    ) and not any(one in "\u202a\u202b\u202d\u202e\u2066\u2067\u2068\u200e\u200f" for one in text)


@given(st.text(st.characters(), max_size=200))
def test_no_text_keeps_a_control_character(text: str) -> None:
    assert harmless(plain(text))
    assert harmless(plain_word(text))
    assert "\n" not in plain_word(text)
    assert plain(plain(text)) == plain(text)
    assert bool(unsafe_character(text)) == (plain(text) != text)
    assert len(shown(text)) < 250
    assert len(shorten(text)) < 250
    plain(text).encode("utf-8")  # no lone surrogate is left


def test_plain_text_stays() -> None:
    text = "client ─┤ 10.0.1.1 ═══ µs ± é 日本 emoji 🙂\n\tindented"
    assert plain(text) == text
    assert plain("\x1b[31m\u202e\udcff\x9b") == "\\x1b[31m\\u202e\\udcff\\x9b"
    assert plain_word("a\nb\tc") == "a\\nb\\tc"
    assert abridged(f"key: {'9' * 5000}: expected less") == f"key: {shorten('9' * 5000 + ':')} expected less"


class _Unshowable:
    def __repr__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    "value", [10**5000, _Unshowable(), ["x" * 10**6], EVIL], ids=["digits", "repr", "long", "evil"]
)
def test_any_value_can_be_shown(value: object) -> None:
    assert harmless(shown(value))
    assert len(shown(value)) < 250


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "topologies").mkdir()
    (tmp_path / "topologies" / "mine.py").write_text(MINE)
    (tmp_path / f"{EVIL}.yaml").write_text("topology: {name: two_path}\nconnections: 0\n")
    (tmp_path / "raw.yaml").write_text(f"question: {EVIL}\n")
    (tmp_path / "escaped.yaml").write_text('topology: {name: two_path}\n"\\e[31m": 1\n')
    (tmp_path / "name.yaml").write_text('topology: {name: "a\\e[2Jb"}\n')
    (tmp_path / "capture.pcap").write_bytes(EVIL.encode() * 20)
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        ("topo", "list"),
        ("topo", "show", "./mine.py"),
        ("topo", "show", EVIL),
        ("topo", "show", f"./{EVIL}.py"),
        ("topo", "show", "two_path", "--set", f"{EVIL}=1"),
        ("topo", "show", "two_path", "--set", f"delay={EVIL}"),
        ("run", f"{EVIL}.yaml"),
        ("run", "raw.yaml"),
        ("run", "escaped.yaml"),
        ("run", "name.yaml"),
        ("run", EVIL),
        ("run", "raw.yaml", "--set", EVIL),
        ("run", "raw.yaml", "--net", EVIL),
        ("explain", EVIL),
        ("results", EVIL),
        ("report", EVIL),
        ("trace", "capture.pcap"),
        ("trace", EVIL),
        ("ladder", EVIL),
        ("client", EVIL),
        ("client", f"127.0.0.1:{EVIL}"),
        ("client", "127.0.0.1:80", "--endpoint", EVIL),
        ("server", "--profile", EVIL),
        ("server", "--scheduler", EVIL),
        ("reproduce", EVIL),
        ("interop", EVIL),
        (EVIL,),
        ("--" + EVIL,),
    ],
    ids=lambda words: ascii(" ".join(words))[:40],
)
def test_no_command_repeats_a_control_character(words: tuple[str, ...], place: Path) -> None:
    done = subprocess.run([*TESTBED, *words], cwd=place, capture_output=True, check=False, timeout=60)
    text = done.stdout.decode("utf-8") + done.stderr.decode("utf-8")
    assert text.strip()
    assert harmless(text), ascii(text)
    assert "Traceback" not in text
    assert done.returncode in (0, 1, 2, 3), text


def test_a_name_that_is_not_text(tmp_path: Path) -> None:
    name = b"\xff\xfe\x1b.yaml"
    for locale in ("C.UTF-8", "C", "POSIX"):
        done = subprocess.run(
            [*TESTBED, "run", name],
            cwd=tmp_path,
            env={**os.environ, "LC_ALL": locale},
            capture_output=True,
            check=False,
        )
        assert done.returncode == 2, done.stderr
        assert b"Traceback" not in done.stderr
        assert b"\\udcff" in done.stderr
        assert b"\x1b" not in done.stderr


def test_a_narrow_encoding_is_no_error(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [*TESTBED, "topo", "show", "two_path"], env=environment, cwd=tmp_path, capture_output=True, check=True
    )
    assert done.stdout.isascii()
    assert b"10.0.1.1" in done.stdout


# CSV.

FORMULAS = [
    "=1+1",
    "+1+1",
    "-1+1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "\uff1d1",
    "'=1",
    "''=1",
    "=",
    "-",
    "--1",
]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_cell_never_begins_a_formula(text: str) -> None:
    assert cell(text)[0] == ("\\" if text[0] == "\r" else "'")  # a carriage return is shown as its escape
    assert value_of(cell(text)) == plain(text)


@given(st.text(max_size=30))
def test_cells_read_back_as_they_were(text: str) -> None:
    written = cell(text)
    assert written[:1] not in ("=", "@", "\t", "\r", "\n")
    assert written[:1] not in ("+", "-") or float(written) is not None
    assert value_of(written) == plain(text)


@pytest.mark.parametrize(
    "value", [-5, -0.5, 3, None, True, "-5", "+0.5", "-1e-3", "mptcp", "v1", "10.0.0.1", ""]
)
def test_numbers_and_words_stay(value: object) -> None:
    assert cell(value) == value


def test_a_table_with_formulas(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "case": ['=HYPERLINK("http://x")', "plain", "@a", '-b,"c"'],
            "=cmd|' /C calc'!A0": [1, 2, 3, 4],
            "x": [-1.5, 2.0, float("nan"), 4.0],
            "many": [["=1"], {"a": 1}, None, EVIL],
        }
    )
    text = to_csv(frame)
    rows = list(csv.reader(io.StringIO(text)))
    assert not any(one.startswith(("=", "@", "+")) for row in rows for one in row)
    assert harmless(text)
    (tmp_path / "x.csv").write_text(text)
    again = read_csv(tmp_path / "x.csv")
    assert list(again["case"]) == list(frame["case"])
    assert list(again.columns) == list(frame.columns)
    assert again["x"].tolist()[:2] == [-1.5, 2.0]


@pytest.mark.slow
def test_a_run_whose_case_is_a_formula(tmp_path: Path) -> None:
    name = '=HYPERLINK("http://example.com"; "x")'
    (tmp_path / "mine.yaml").write_text(
        "topology: {name: two_path, delay: 1ms}\nconnections: 3\nfigures: []\n"
        f"cases:\n  '{name}': {{client.profile: v1}}\n  '@b': {{client.profile: v0}}\n"
    )
    run = [*TESTBED, "run", "mine.yaml", "--net", "sim", "--out", "out"]
    subprocess.run(run, cwd=tmp_path, check=True, capture_output=True)
    listed = subprocess.run(
        [*TESTBED, "results", "out", "--csv"], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    for text in (listed.stdout, (tmp_path / "out" / "summary.csv").read_text()):
        cells = [one for row in csv.reader(io.StringIO(text)) for one in row]
        assert not any(one[:1] in ("=", "@", "+") for one in cells)
        assert f"'{name}" in cells
    from testbed.results import load

    assert sorted(load(tmp_path / "out").summary["case"]) == sorted([name, "@b"])
