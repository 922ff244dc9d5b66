"""What an experiment must vary for a figure to be drawn from it, told by its factors alone, before it runs.

Decides the words for what is missing. Light, so that an experiment can be refused without a plotting library.
"""

from __future__ import annotations

from collections.abc import Sequence

CASE = "case"


def no_demand(factors: Sequence[str]) -> str:
    """Any experiment will do."""
    return ""


def one_loss(factors: Sequence[str]) -> str:
    """'' or what is missing."""
    if len(losses(factors)) == 1:
        return ""
    return (
        "needs one varied loss from client to server, such as 'paths.*.loss.up: [0, 5, 20]' under vary; "
        f"varied here: {', '.join(factors) or 'nothing'}"
    )


def losses(factors: Sequence[str]) -> list[str]:
    """Those of packets from client to server."""
    return [factor for factor in factors if factor.endswith((".loss.up", ".loss"))]


def cases(factors: Sequence[str]) -> str:
    """'' or what is missing."""
    return "" if CASE in factors else "needs cases: they would be its rows"
