"""What is said of a lab that died."""

from __future__ import annotations

from pathlib import Path

from testbed.net.job import tail


def test_the_end_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "lab.log"
    assert tail(log) == ""
    log.write_text("".join(f"line {number}\n" for number in range(20)))
    assert tail(log, 2) == "line 18\nline 19"


def test_of_a_traceback_its_last_line_and_where_it_stands(tmp_path: Path) -> None:
    log = tmp_path / "lab.log"
    log.write_text("Traceback (most recent call last):\n" + '  File "x"\n' * 30 + "OSError: gone\n")
    assert tail(log) == f"OSError: gone; see {log}"
