"""What travels between a runner and its lab: what is said of a lab that died, and no file runs code."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

from testbed.errors import UserError
from testbed.net.job import JOB, Job, tail, write
from testbed.records import write_atomically
from tests.net.needs import two_path


def test_the_end_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "lab.log"
    assert tail(log) == ""
    log.write_text("".join(f"line {number}\n" for number in range(20)))
    assert tail(log, 2) == "line 18\nline 19"


def test_of_a_traceback_its_last_line_and_where_it_stands(tmp_path: Path) -> None:
    log = tmp_path / "lab.log"
    log.write_text("Traceback (most recent call last):\n" + '  File "x"\n' * 30 + "OSError: gone\n")
    assert tail(log) == f"OSError: gone; see {log}"


class _Planted:
    def __reduce__(self) -> tuple[object, ...]:
        return (os.system, ("echo planted > planted.txt",))


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps(_Planted()),
        b"cos\nsystem\n(S'echo planted > planted.txt'\ntR.",
        b"\x80\x04\x8c\x0ftestbed.net.run\x8c\x10subprocess.Popen\x93\x8c\x05touch\x85R.",
        b"\x80\x04\x8c\x0ftestbed.net.run\x8c\x05check\x93)R.",
        b"",
    ],
)
def test_a_job_that_someone_planted_runs_nothing(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / JOB).write_bytes(content)
    (tmp_path / JOB).chmod(0o600)
    with pytest.raises((pickle.UnpicklingError, EOFError)):
        Job.read(tmp_path)
    assert not (tmp_path / "planted.txt").exists()


def test_a_job_that_another_user_can_write_is_refused(tmp_path: Path) -> None:
    Job(two_path()).write(tmp_path)
    assert Job.read(tmp_path).plan.name == "two_path"
    (tmp_path / JOB).chmod(0o606)
    with pytest.raises(UserError, match=r"lab\.pickle: another user can write this file"):
        Job.read(tmp_path)
    if os.geteuid() == 0:
        (tmp_path / JOB).chmod(0o600)
        os.chown(tmp_path / JOB, 65534, 65534)
        with pytest.raises(UserError, match="another user"):
            Job.read(tmp_path)
    (tmp_path / JOB).rename(tmp_path / "elsewhere")
    (tmp_path / JOB).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        Job.read(tmp_path)


@pytest.mark.parametrize("suffix", [".part", ".partial"])
def test_writing_atomically_follows_no_link(suffix: str, tmp_path: Path) -> None:
    """A link under the name that is written first would overwrite its target."""
    target = tmp_path / "target"
    target.write_text("before")
    (tmp_path / f"file.json{suffix}").symlink_to(target)
    if suffix == ".part":
        write(tmp_path / "file.json", b"after")
    else:
        write_atomically(tmp_path / "file.json", "after")
    assert (tmp_path / "file.json").read_text() == "after"
    assert target.read_text() == "before"
    assert not (tmp_path / f"file.json{suffix}").is_symlink()
