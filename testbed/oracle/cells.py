"""One cell of the matrix as plain data, all cells in their order, and how a user names some of them.

Decides what is crossed with what and the words for it. What must come out of a cell is expected.py's, what
a scenario does is scenarios.py's. Knows nothing of namespaces and programs.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from testbed.errors import UserError

STACKS = ("linux", "ours")
PAIRS = tuple(itertools.product(STACKS, STACKS))  # (client, server)
FAMILIES = (4, 6)
PATHS = (1, 2, 4)
TRANSFER = "transfer"


@dataclass(frozen=True, slots=True)
class Cell:
    """`client`, `server`: linux or ours. `scenario`: `transfer` or a name of SCENARIOS."""

    client: str
    server: str
    family: int = 4
    paths: int = 1
    checksum: bool = False
    cookies: bool = False
    scenario: str = TRANSFER

    @property
    def pair(self) -> str:
        return f"{self.client}-{self.server}"

    @property
    def words(self) -> tuple[str, ...]:
        """What the cell is called by; those of a plain cell are left out."""
        return (
            self.scenario,
            self.pair,
            f"ipv{self.family}",
            f"{self.paths}-path{'s' if self.paths > 1 else ''}",
            *(["checksum"] if self.checksum else []),
            *(["cookies"] if self.cookies else []),
        )

    @property
    def name(self) -> str:
        return "/".join(self.words)

    def stack(self, side: str) -> str:
        return self.client if side == "client" else self.server


def matrix() -> list[Cell]:
    """Every pair, address family, number of paths, with and without checksums and SYN cookies."""
    return [
        Cell(client, server, family, paths, checksum, cookies)
        for (client, server), family, paths, checksum, cookies in itertools.product(
            PAIRS, FAMILIES, PATHS, (False, True), (False, True)
        )
    ]


def small_matrix() -> list[Cell]:
    """Every value of every dimension with every pair, in three cells each in place of 24."""
    corners = ((4, 1, False, True), (6, 2, True, False), (4, 4, True, True))
    return [Cell(client, server, *corner) for (client, server), corner in itertools.product(PAIRS, corners)]


def chosen(cells: Sequence[Cell], cases: Iterable[str]) -> list[Cell]:
    """Those that have all words of any case: `ours-linux/ipv6/4-paths`. No case: all."""
    cases = tuple(cases)
    known = {word for cell in cells for word in cell.words}
    for case in cases:
        for word in case.split("/"):
            if word not in known:
                raise UserError(
                    f"case {case}: {word!r} is no word of a cell; there are {', '.join(sorted(known))}"
                )
    found = [
        cell for cell in cells if not cases or any(set(case.split("/")) <= {*cell.words} for case in cases)
    ]
    if not found:
        raise UserError(f"no cell has all words of {', '.join(cases)}; a cell is called {cells[0].name}")
    return found
