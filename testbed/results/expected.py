"""What the closed form says of a cell: read from a run's record, where its assumptions were written down.

Decides nothing about when a closed form holds: testbed/model/assumptions.py does, from the parsed network and
hosts, when the run is made. Records of an earlier version have no assumptions; theirs are found from the
cell's settings again, unless the topology is a file, which is not executed to read results.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from testbed.errors import UserError
from testbed.model import Assumptions, Prediction, assumptions

Settings = Mapping[str, Any]
MODEL = "model"  # of a record: the assumptions, or {"none": why there is no closed form}


def closed_form(
    settings: Settings, loss: float | None = None, held: float | None = None
) -> Prediction | None:
    """The odds for a cell's settings; None where none are known.

    `loss` and `held` (back): other shares than the cell's own, 0..1.
    """
    found = _parsed(json.dumps(settings))  # in their order: later keys of the network win
    return None if isinstance(found, str) else found.predict(loss, held)


def expected_of(
    record: Mapping[str, Any], loss: float | None = None, held: float | None = None
) -> Prediction | None:
    """The same for a run's record."""
    if MODEL not in record:
        file = record["settings"]["topology"].get("file")
        return None if file else closed_form(record["settings"], loss, held)
    model = record[MODEL]
    return None if "none" in model else Assumptions(**model).predict(loss, held)


@lru_cache(maxsize=1024)
def _parsed(settings: str) -> Assumptions | str:
    from testbed.runner.network import hosts_of, impossible, network_of
    from testbed.runner.spec import Cell

    try:
        cell = Cell.model_validate(json.loads(settings))
        plan = network_of(cell)
        wrong = [words for _, words in impossible(cell, plan)]
        return wrong[0] if wrong else assumptions(plan, hosts_of(cell, plan, 1))
    except (UserError, ValueError) as error:  # of a version that knew other keys
        return f"not understood: {error}"
