"""Where the state of a namespace is kept: a directory that no other user could have laid there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.drive import state
from testbed.errors import MachineError

Squat = Callable[[Path], None]


def _link(place: Path) -> None:
    target = place.with_name("target")
    target.mkdir(mode=0o700, exist_ok=True)
    place.symlink_to(target)


def _dangling(place: Path) -> None:
    place.symlink_to(place.with_name("nothing"))


def _file(place: Path) -> None:
    place.write_text("")


def _open_to_all(place: Path) -> None:
    place.mkdir()
    place.chmod(0o777)


def _of_another(place: Path) -> None:
    place.mkdir(mode=0o700)
    if os.geteuid() != 0:
        pytest.skip("only root can give a directory away")
    os.chown(place, 65534, 65534)


SQUATS = {
    _link: "a symbolic link",
    _dangling: "a symbolic link",
    _file: "not a directory",
    _open_to_all: "open to other users",
    _of_another: "belongs to user 65534",
}


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    found = [tmp_path / name for name in ("run", "runtime", "temporary")]
    monkeypatch.setattr(state, "_places", lambda: iter(found))
    return found


@pytest.mark.parametrize(("squat", "said"), SQUATS.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_a_place_that_another_user_could_have_laid_is_not_used(
    places: list[Path], squat: Squat, said: str
) -> None:
    squat(places[0])
    assert state._directory() == places[1]
    places[1].rmdir()
    for place in places[1:]:
        squat(place)
    with pytest.raises(MachineError, match=said) as caught:
        state._directory()
    assert str(places[-1]) in str(caught.value)
    assert not any((place / "target").exists() and [*(place / "target").iterdir()] for place in places)


def test_the_places_are_of_this_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    temporary = Path(tempfile.gettempdir()) / f"testbed-{os.geteuid()}"
    assert list(state._places()) == [Path("/run/testbed"), tmp_path / "testbed", temporary]
    monkeypatch.setenv("XDG_RUNTIME_DIR", "relative")
    assert list(state._places()) == [Path("/run/testbed"), temporary]
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert len(list(state._places())) == 2


def test_a_made_directory_is_of_this_user_alone(places: list[Path]) -> None:
    before = os.umask(0)
    try:
        made = state._directory()
    finally:
        os.umask(before)
    assert made.stat().st_mode & 0o777 == 0o700
    assert state._directory() == made
