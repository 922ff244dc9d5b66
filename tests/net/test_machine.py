"""What a machine must have: said clearly where it is missing, done without where it can be."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from testbed.errors import MachineError
from testbed.net import Lab, check, has_mnexec, has_netem, machine, namespaces
from tests.net.needs import lab_only, probe, two_path

ROOT = Path(__file__).resolve().parents[2]


def test_no_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    check.cache_clear()
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(MachineError, match=r"needs Linux.*--net sim.*vagrant up"):
        check()
    check.cache_clear()


def test_a_missing_device_names_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine, "TUN", str(tmp_path / "tun"))
    check.cache_clear()
    with pytest.raises(MachineError, match="tun is missing: sudo modprobe tun"):
        check()
    check.cache_clear()


@pytest.mark.lab
@lab_only
def test_without_mnexec_the_stand_in_builds_the_same_lab(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for program in ("bash", "sh", "env", "grep", "stty"):
        found = shutil.which(program)
        if found:
            (tmp_path / program).symlink_to(found)
    monkeypatch.setenv("PATH", str(tmp_path))
    plan = two_path(delay="1ms")
    with Lab(plan) as lab:
        assert "mnexec" not in lab.run("client", ["bash", "-c", "type mnexec"]).stdout
        assert probe(lab, "client", "10.0.2.1", "10.1.2.1")


# A mount namespace in which /dev/net/tun and this Python are open to everyone, as they are on other machines.
AS_NOBODY = """
import os, sys
from pathlib import Path
from testbed.net.namespaces import CLONE_NEWNS, mount, unshare
from testbed.net.namespaces import _MS_BIND as BIND, _MS_PRIVATE as PRIVATE, _MS_REC as REC
place, base = Path(sys.argv[1]), Path(sys.base_prefix)
unshare(CLONE_NEWNS)
mount("none", "/", None, REC | PRIVATE)
os.mknod(place / "tun", 0o020666, os.makedev(10, 200))
os.chmod(place / "tun", 0o666)
mount(str(place / "tun"), "/dev/net/tun", None, BIND)
closed = [folder for folder in base.parents if not folder.stat().st_mode & 1]
if closed:
    held = os.open(base, os.O_PATH)
    mount("tmpfs", str(closed[-1]), "tmpfs", 0, "mode=0755")
    base.mkdir(parents=True)
    mount(f"/proc/self/fd/{held}", str(base), None, BIND)
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
os.environ["HOME"] = str(place)
os.execv(sys.executable, [sys.executable, "-c", sys.argv[2]])
"""
ROOTLESS = textwrap.dedent("""
    import tempfile, os
    from pathlib import Path
    from testbed.net import Lab, check
    from tests.net.needs import probe, two_path
    assert os.geteuid() == 65534
    print(check())
    with Lab(two_path(delay="5ms")) as lab:
        times = probe(lab, "client", "10.0.1.1", "10.1.1.1", 3)
        assert min(times) >= 10, times
        assert "10.1.2.1/24" in lab.run("server", ["ip", "-4", "-o", "address"]).stdout
    assert lab.outcome.invalid is None
    print("fine")
""")


@pytest.mark.lab
@lab_only
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
def test_rootless_in_a_user_namespace(tmp_path_factory: pytest.TempPathFactory) -> None:
    place = Path(subprocess.check_output(["mktemp", "-d"], text=True).strip())
    place.chmod(place.stat().st_mode | stat.S_IRWXO)
    try:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, str(place), ROOTLESS],
            env=environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
        )
    finally:
        shutil.rmtree(place)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.split() == ["user", "fine"]


@pytest.mark.lab
@lab_only
def test_the_way_is_known() -> None:
    assert namespaces() == ("root" if os.geteuid() == 0 else "user")
    assert isinstance(has_mnexec(), bool)


@pytest.mark.lab
@lab_only
def test_whether_the_kernel_could_delay_packets_is_tried() -> None:
    shown = subprocess.run(["tc", "qdisc", "show", "dev", "lo"], capture_output=True, text=True).stdout
    modules = Path("/lib/modules", os.uname().release)
    if has_netem():
        assert "netem" not in shown  # tried elsewhere
    else:
        assert not list(modules.rglob("sch_netem.ko*"))
