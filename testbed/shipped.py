"""Where the topologies and experiments are that come with the package, in a checkout and installed.

Decides the two places: beside the package in a checkout, inside it in an installed wheel (setup.py puts them
there). Also which file a bare experiment name such as `fallback` means.
"""

from __future__ import annotations

from pathlib import Path

import testbed

_PACKAGE = Path(testbed.__file__).resolve().parent


def checkout() -> Path | None:
    """Return the root of the checkout that this package runs from; None where it is installed."""
    root = _PACKAGE.parent
    return root if (root / "pyproject.toml").is_file() and (root / "topologies").is_dir() else None


def shipped(name: str) -> Path:
    """Return the folder "topologies" or "experiments". It may be missing where a packager left it out."""
    return (checkout() or _PACKAGE) / name


def experiment_file(named: Path) -> Path:
    """Return the file that the user means by a path or a name; `named` itself if there is none.

    `fallback`, `seed/fallback`, `experiments/fallback.yaml` all work from any directory. A file of the
    working directory comes first.
    """
    if named.is_absolute() or _is_file(named):
        return named
    parts = named.parts[1:] if named.parts[:1] == ("experiments",) else named.parts
    if not parts or ".." in parts:
        return named
    for folder in (Path("experiments"), shipped("experiments")):
        for suffix in ("", ".yaml"):
            file = folder.joinpath(*parts)
            file = file.with_name(file.name + suffix)
            if _is_file(file):
                return file
    return named


def _is_file(path: Path) -> bool:
    """False also where a folder on the way may not be read: the next place is tried."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def experiment_names() -> list[str]:
    """Return the names of the experiments that come with the package: "fallback", "seed/fallback"."""
    folder = shipped("experiments")
    return sorted(
        file.relative_to(folder).with_suffix("").as_posix()
        for file in folder.rglob("*.yaml")
        if file.is_file()
    )
