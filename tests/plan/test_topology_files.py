"""A topology file is a user's program: the command answers anything that it does with one line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from testbed.errors import UserError
from testbed.plan import catalogue, confined, known_topologies, load_topology, plan_from
from tests.plan.test_catalogue import MINE

TESTBED = [sys.executable, "-P", "-m", "testbed.cli"]
RAISES = "class Odd(BaseException):\n    pass\n"
IN_BUILD = MINE.replace("        self.addHost('client')\n", "        DEED\n        self.addHost('client')\n")

# What a file may do at its top level, and in build(): the statement, and what is said of it.
DEEDS = {
    "sys.exit": ("import sys; sys.exit(7)", r"ends Python \(SystemExit: 7\)"),
    "exit in words": ("raise SystemExit('enough')", r"SystemExit: enough"),
    "keyboard interrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "generator exit": ("raise GeneratorExit", "GeneratorExit"),
    "base exception": ("raise type('Odd', (BaseException,), {})('why')", "Odd: why"),
    "error without text": (
        "raise type('Odd', (Exception,), {'__str__': lambda self: 1 / 0})",
        r"line \d+: Odd$",
    ),
    "recursion": ("f = lambda n: f(n); f = (lambda: f())\n        f()", "RecursionError|NameError"),
    "memory": ("x = bytearray(1 << 40)", "MemoryError"),
    "os._exit": ("import os; os._exit(3)", "ends Python without an answer"),
    "abort": ("import os; os.abort()", "by the signal SIGABRT"),
    "kill": ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "by the signal SIGKILL"),
    "closed descriptors": ("import os; os.closerange(3, 100)", "ends Python without an answer"),
    "endless loop": ("while True: pass", r"line \d+: not done after .* endless loop"),
    "endless sleep": ("import time; time.sleep(3600)", r"line \d+: not done after .* endless loop"),
    "endless wait": ("import threading; threading.Event().wait()", r"line \d+: not done after"),
    "loop that catches all": (
        "exec('while True:\\n try:\\n  __import__(\"time\").sleep(9)\\n except BaseException: pass')",
        "gives no answer within",
    ),
    "loop without alarm": (
        "import signal; signal.setitimer(signal.ITIMER_REAL, 0)\n        while True: pass",
        "gives no answer within",
    ),
}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confined, "MOST_SECONDS", 0.5)
    monkeypatch.setattr(confined, "_GRACE", 0.3)
    monkeypatch.setattr(confined, "MOST_MEMORY", 1 << 26)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("where", ["top level", "build"])
@pytest.mark.parametrize("deed", DEEDS)
def test_anything_that_a_file_does_is_one_error(deed: str, where: str, tmp_path: Path) -> None:
    statement, said = DEEDS[deed]
    file = tmp_path / "mine.py"
    text = IN_BUILD.replace("DEED", statement)
    file.write_text(
        text if where == "build" else f"{statement.replace(chr(10) + '        ', chr(10))}\n{MINE}"
    )
    began, here, descriptors = time.monotonic(), Path.cwd(), _descriptors()
    with pytest.raises(UserError, match=said) as caught:
        load_topology(str(file))
    assert time.monotonic() - began < 10
    assert "mine.py" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (Path.cwd(), _descriptors()) == (here, descriptors)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)  # no child is left


def test_what_a_file_changes_stays_in_its_process(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "import builtins, os, sys, atexit\n"
        "print('to standard output'); os.write(1, b'to the descriptor\\x1b[2J\\n')\n"
        "os.system('echo to a shell')\n"
        "sys.path.insert(0, 'odd'); builtins.odd = 1; os.environ['ODD'] = '1'; os.chdir('/')\n"
        "atexit.register(print, 'at the end')\n" + MINE
    )
    before = list(sys.path), Path.cwd()
    plan = plan_from(load_topology(str(file)))
    assert [node.name for node in plan.nodes] == ["client", "server"]
    assert (list(sys.path), Path.cwd()) == before
    assert "ODD" not in os.environ
    import builtins

    assert not hasattr(builtins, "odd")
    out, err = capfd.readouterr()
    assert out == ""
    assert err.splitlines() == ["to standard output", "to the descriptor\\x1b[2J", "to a shell"]


def test_much_output_is_cut_and_harms_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.py"
    file.write_text("for _ in range(100_000): print('x' * 99)\n" + MINE)
    assert plan_from(load_topology(str(file)))
    assert 60_000 < len(capfd.readouterr().err) < 70_000


def test_a_background_child_of_a_file_does_not_stay(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        f"import subprocess\nchild = subprocess.Popen(['sleep', '600'])\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))\n" + MINE
    )
    assert load_topology(str(file))
    pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 5
    while Path(f"/proc/{pid}/stat").exists() and time.monotonic() < deadline:
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            break
        time.sleep(0.02)
    else:
        assert not Path(f"/proc/{pid}").exists()


def test_ctrl_c_ends_an_endless_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("print('begun', flush=True)\nwhile True:\n    pass\n")
    process = subprocess.Popen(
        [*TESTBED, "topo", "show", str(file)], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline = time.monotonic() + 20
    while not children.read_text() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.2)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert time.monotonic() - began < 5
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("word", "value", "said"),
    [
        ("intfName1", "'a/b'", "intfName1: expected letters"),
        ("intfName1", "5", "intfName1: expected a name"),
        ("intfName1", r"'\x1b[31mred'", r"not '\\\\x1b\[31mred'|intfName1"),
        ("addr1", "'nonsense'", "addr1: expected six bytes"),
        ("addr2", "7", "addr2: expected an address"),
        ("port1", "'a'", "port1: expected a whole number"),
        ("params1", "'ip'", "params1: expected a dictionary"),
        ("params1", "{'ip': 5}", "5 is not an address of client"),
        ("params2", "{'ip': ['10.0.0.1/24', None]}", "None is not an address of server"),
        ("path", r"'\x1b]0;title\x07'", "path: expected at most 40"),
        ("path", "'x' * 400", "path: expected at most 40"),
        ("loss", "float('nan')", "loss"),
        ("loss", "float('inf')", "loss"),
        ("bw", "10**5000", "bw"),
        ("bw", "object()", "bw"),
        ("delay", "'9' * 5000 + 'ms'", "delay"),
        ("max_queue_size", "10**5000", "max_queue_size"),
        ("at", "(lambda d: d.update(a=d) or d)({})", "nested more than 20 deep"),
        ("drop", "'x' * 100000", "100,000 characters; at most 10,000"),
    ],
)
def test_an_odd_option_is_an_error_that_names_it(word: str, value: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    option = f"**{{{word!r}: {value}}}"
    file.write_text(MINE.replace("delay=delay)", f"{option})").replace("delay='1ms'", ""))
    with pytest.raises(UserError, match=said) as caught:
        plan_from(load_topology(str(file)))
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("self.addHost(5)", "node 5: expected a name"),
        (r"self.addHost('a\nb')", "expected a name"),
        ("[self.addHost(f'h{i}') for i in range(5000)]", "topology mine: more than 1,000 nodes"),
        ("[self.addLink('client', 'server') for i in range(5000)]", "topology mine: more than 1,000 links"),
    ],
)
def test_odd_nodes(statement: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    late = MINE.replace("delay=delay)\n", f"delay=delay)\n        {statement}\n")
    file.write_text(late)
    with pytest.raises(UserError, match=said):
        plan_from(load_topology(str(file)))


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("name", "params"),
    [("n_paths", {"paths": 10**9}), ("flood", {"clients": 10**12}), ("cables", {"paths": 5000})],
)
def test_a_shipped_topology_of_enormous_size(name: str, params: dict[str, object]) -> None:
    began = time.monotonic()
    with pytest.raises(UserError, match=name):
        load_topology(name, **params)
    assert time.monotonic() - began < 10


def _descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


# Finding names.

TRAP = "open({!r}, 'w').write('ran')\n"


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with topologies of its own, which say when they ran."""
    (tmp_path / "topologies").mkdir()
    for name in ("two_path", "mine", "sly"):
        text = TRAP.format(str(tmp_path / "ran")) + MINE.replace("'mine'", f"'{name}'")
        (tmp_path / "topologies" / f"{name}.py").write_text(text)
    (tmp_path / "topologies" / "broken.py").write_text("def (:\n")
    (tmp_path / "topologies" / "zeros.py").write_bytes(bytes(100))
    (tmp_path / "topologies" / "deep.py").write_text("x = " + "(" * 5000 + ")" * 5000 + "\n")
    (tmp_path / "topologies" / "by_code.py").write_text(MINE.replace("topos = {", "topos = dict() or {"))
    (tmp_path / "topologies" / "folder.py").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_listing_runs_no_file(elsewhere: Path) -> None:
    done = subprocess.run([*TESTBED, "topo", "list"], capture_output=True, text=True, check=True)
    assert "mine" in done.stdout
    assert "two_path" in done.stdout
    assert {"mine", "sly", "two_path", "n_paths"} <= set(known_topologies())
    assert known_topologies()["mine"] == "A cable."
    assert not (elsewhere / "ran").exists()


def test_a_name_of_the_package_means_the_packages(elsewhere: Path) -> None:
    assert len(plan_from(load_topology("two_path")).paths) == 2
    with pytest.raises(UserError, match=r"unknown topology 'none'; .*by_code\.py is found as a file only"):
        load_topology("none")
    assert not (elsewhere / "ran").exists()
    assert plan_from(load_topology("mine")).name == "mine"
    assert (elsewhere / "ran").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("place", ["topologies", "topologies/mine.py"])
def test_root_runs_no_file_of_another_user_by_its_name(
    elsewhere: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.chown(elsewhere / place, 65534, 65534)
    monkeypatch.delenv("SUDO_UID", raising=False)
    with pytest.raises(UserError, match=r"user 65534 .* root; .*\./topologies/mine\.py"):
        load_topology("mine")
    assert not (elsewhere / "ran").exists()
    monkeypatch.setenv("SUDO_UID", "65534")
    assert load_topology("mine")
    monkeypatch.delenv("SUDO_UID")
    assert load_topology("./topologies/mine.py"), "named as a file, it was chosen"
    os.chown(elsewhere / place, 0, 0)
    (elsewhere / place).chmod(0o777)
    with pytest.raises(UserError, match="or others"):
        load_topology("mine")
    monkeypatch.setattr(catalogue.os, "geteuid", lambda: 1000)
    assert load_topology("mine")


@pytest.mark.parametrize(
    "name", ["/dev/null", "/dev/zero", "/", "x" * 5000 + ".py", "a\0.py", "~nobody_here/x.py", "..py"]
)
def test_a_place_that_is_no_file(name: str) -> None:
    with pytest.raises(UserError, match="there is no file"):
        load_topology(name)
