"""Finding topologies: by name, by file in any directory, and what is said when there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.errors import UserError
from testbed.plan import draw, known_topologies, load_topology, plan_from

MINE = """
from mininet.topo import Topo

class Mine(Topo):
    'A cable.'
    def build(self, delay='1ms'):
        self.addHost('client')
        self.addHost('server')
        self.addLink('client', 'server', delay=delay)

topos = {'mine': Mine}
"""


def test_every_topology_of_the_repository_loads_and_draws() -> None:
    known = known_topologies()
    assert "two_path" in known
    for name, line in known.items():
        assert line, f"{name} has no docstring"
        assert draw(plan_from(load_topology(name)))


def test_a_file_in_any_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    plan = plan_from(load_topology(str(tmp_path / "mine.py"), delay="7ms"))
    assert plan.name == "mine"
    assert plan.parameters == {"delay": "7ms"}
    assert plan.links[0].forward.delay == 7_000_000
    monkeypatch.chdir(tmp_path)
    assert plan_from(load_topology("mine.py:mine")).name == "mine"


def test_a_topologies_folder_of_the_working_directory_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "topologies").mkdir()
    (tmp_path / "topologies" / "some_file.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    assert set(known_topologies()) >= {"mine", "two_path"}
    assert plan_from(load_topology("mine")).name == "mine"


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(UserError, match=r"unknown topology 'three_path'; there are .*two_path"):
        load_topology("three_path")


def test_an_unknown_parameter_lists_the_known() -> None:
    with pytest.raises(
        UserError, match=r"unknown parameter 'bandwidth'.*bw, delay, jitter, loss, max_queue_size"
    ):
        load_topology("two_path", bandwidth=3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "there is no file"),
        ("def broken(:\n", "line 1: invalid syntax"),
        ("import nothing_of_this_name\n", "line 1: ModuleNotFoundError"),
        ("x = 1\n", "a dictionary `topos"),
        ("topos = {}\n", "a dictionary `topos"),
        ("topos = {'a': dict, 'b': dict}\n", r"several topologies; write FILE.py:NAME; there are a, b"),
        ("topos = {'a': dict}\n", "not a mininet.topo.Topo"),
        (MINE.replace("'client', 'server', d", "'client', 'sevrer', x, d"), "line 9: NameError"),
        (MINE.replace("'client', 'server', d", "'client', 'srver', d"), "line 9: no addHost made 'srver'"),
    ],
)
def test_a_file_that_is_no_topology(tmp_path: Path, text: str | None, said: str) -> None:
    file = tmp_path / "mine.py"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UserError, match=said):
        load_topology(str(file))


def test_what_has_no_meaning_here_is_of_the_file_that_says_it(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(MINE.replace("'client', 'server', d", "'client', 'server', dealy='1ms', d"))
    with pytest.raises(UserError, match=r"mine\.py: link client-server: dealy: unknown link parameter"):
        plan_from(load_topology(str(file)))
