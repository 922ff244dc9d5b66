"""What the shell offers after TAB for arguments that are names of the project.

Decides the candidates. Reads file names and tables only: nothing of the user's is executed while typing.
"""

from __future__ import annotations


def words(incomplete: str) -> list[str]:
    """Words and kinds that `testbed explain` knows."""
    from testbed.explain import known

    kinds = known()
    names = {
        *(f"{kind}s" for kind in kinds if " " not in kind),
        *(name for one in kinds.values() for name in one),
    }
    return sorted(name for name in names if name.lower().startswith(incomplete.lower()))


def topologies(incomplete: str) -> list[str]:
    """Topologies that come with the package."""
    from testbed.shipped import shipped

    found = sorted(file.stem for file in shipped("topologies").glob("*.py"))
    return [name for name in found if name.startswith(incomplete)]


def figures(incomplete: str) -> list[str]:
    """Figures and collections that `testbed reproduce` knows."""
    from testbed.reproduce import COLLECTIONS, FIGURES

    return [name for name in (*COLLECTIONS, *FIGURES) if name.startswith(incomplete)]
