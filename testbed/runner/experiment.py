"""An experiment file -> a checked experiment and its cells, in the order of the file.

Decides what a cell is (a case, if there are any, with one combination of the factors under `vary:`), what a
dotted key may address, and how errors name file, line and key. Every cell is checked before the first one
runs. Must not know how a cell is executed, where results go, or which figures exist (the caller hands in
their names, and for each what tells from the factors what it lacks).
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from testbed.errors import UserError
from testbed.runner.cases import Case, read_cases
from testbed.runner.document import (
    ONE_KEY,
    Document,
    Path_,
    dump,
    parse_set,
    path_of,
    read,
    split_key,
    value_at,
)
from testbed.runner.network import impossible, network_of
from testbed.runner.spec import (
    VARIABLE,
    Cell,
    Experiment,
    expectation,
    keys_at,
    nearest,
)
from testbed.runner.units import plain_number
from testbed.terminal import abridged, shorten
from testbed.terminal import shown as quoted

MOST_CELLS = 10_000  # each takes a millisecond to check, and seconds to run
MOST_RUNS = 1_000_000
MOST_PROBLEMS = 50  # errors said at once
Model = TypeVar("Model", bound=Cell)
Figures = Mapping[str, Callable[[Sequence[str]], str]]


@dataclass(frozen=True, slots=True)
class CellPlan:
    """A cell with its place in the file's order and the factors that make it: dotted key -> value."""

    index: int
    factors: Mapping[str, Any]
    cell: Cell


@dataclass(frozen=True, slots=True)
class Campaign:
    """An experiment ready to run. `document` still knows the line of every key."""

    name: str
    experiment: Experiment
    cells: tuple[CellPlan, ...]
    document: Document
    source: str

    def resolved(self) -> dict[str, Any]:
        """All keys with their values, defaults too; read back, it is the same experiment."""
        values = written(self.experiment)
        vary = values.pop("vary")
        network = values.pop("network")
        for key in vary:
            network.pop(key, None)
            _remove(values, path_of(values, key))
        first = {"question": values.pop("question"), "topology": values.pop("topology"), "vary": vary}
        return {**first, **values, **network}

    def text(self) -> str:
        return f"# The experiment of {self.source} as it was run, with every default spelled out.\n" + dump(
            self.resolved()
        )


def load_experiment(path: Path | str, sets: Iterable[str] = (), figures: Figures | None = None) -> Campaign:
    """Reads, applies `--set`, checks. UserError names the place of everything that is wrong at once."""
    document = read(Path(path))
    for assignment in sets:
        apply_set(document, assignment)
    return check(document, name=Path(path).stem, figures=figures)


def apply_set(document: Document, assignment: str) -> None:
    """`--set KEY=VALUE`: overrides the file; a factor set to one value varies no more."""
    key, value = parse_set(assignment)
    origin = f"--set {shorten(assignment)}"
    vary = document.data.get("vary")
    if key.startswith("vary."):
        if not isinstance(value, list):
            value = [value]
        document.remove(key.removeprefix("vary."))
    elif isinstance(vary, dict):
        vary.pop(key, None)
    document.set(key, value, origin)
    if key.startswith("vary."):
        for index in range(len(value)):
            document.origins[(*split_key(key), index)] = origin


def check(document: Document, name: str, figures: Figures | None = None) -> Campaign:
    problems = _Problems(document)
    source = document.copy()
    _resolve_file(source)
    vary = document.data.get("vary") or {}
    if not isinstance(vary, dict):
        problems.add(("vary",), "expected factors below it, such as client.profile: [v0, v1]")
        vary = {}
    _check_count(document, vary, problems)
    whole = problems.document = _with_first_values(source, vary)
    experiment = _validate(Experiment, _nested(whole), problems, skip=("vary",))
    factors = _check_factors(source, whole, vary, problems)
    cases = read_cases(source, _may_vary, problems.add)
    bare = _without(whole, "vary", "cases")
    for case in cases:
        _check_case(bare, case, problems)
    if experiment is not None and figures is not None:
        _check_figures(experiment, [*(["case"] if cases else []), *vary], figures, problems)
    problems.stop()
    assert experiment is not None

    count = max(len(cases), 1) * math.prod(len(values) for _, values in factors)
    if count * experiment.repeats > MOST_RUNS:
        text = f"{count:,} cells run {experiment.repeats:,} times are more than {MOST_RUNS:,} runs"
        problems.add(("repeats",), text)
        problems.stop()
    base = _without(Document(document.name, source.data, document.origins), "vary", "cases")
    cells = []
    rows: list[Case | None] = [*cases] or [None]
    for index, (case, *combination) in enumerate(itertools.product(rows, *(values for _, values in factors))):
        copy = base.copy()
        chosen = {}
        if case is not None:
            chosen["case"] = case.name
            for setting in case.settings:
                copy.set(*setting)
        for (key, _), (value, shown, origin) in zip(factors, combination, strict=True):
            copy.set(key, value, origin)
            chosen[key] = shown
        here = _Problems(copy)
        cell = _validate(Cell, _nested(copy, Cell), here)
        here.stop()
        assert cell is not None
        cells.append(CellPlan(index, chosen, cell))
    shown_vary = {key: [shown for _, shown, _ in values] for key, values in factors}
    experiment = experiment.model_copy(update={"vary": shown_vary})
    return Campaign(name, experiment, tuple(cells), document, document.name)


def _check_count(document: Document, vary: Mapping[str, Any], problems: _Problems) -> None:
    """Stops where there are too many cells, before any of them is looked at."""
    lengths = [max(len(values), 1) for values in vary.values() if isinstance(values, list)]
    cases = document.data.get("cases")
    rows = len(cases) if isinstance(cases, dict) and cases else 1
    count = rows * math.prod(lengths)
    if count > MOST_CELLS:
        parts = [*([f"{rows:,} cases"] if rows > 1 else []), *(f"{length:,} values" for length in lengths)]
        text = " x ".join(parts[:6]) + (" x ..." if len(parts) > 6 else "")
        number = f"{count:,}" if count < 10**15 else f"{count:.0e}" if count < 10**300 else "far too many"
        problems.add(("vary",), f"{text} make {number} cells; expected at most {MOST_CELLS:,}")
        problems.stop()


def _without(document: Document, *keys: str) -> Document:
    """Without these keys, which may be large: a cell is made by a copy of the rest."""
    data = {key: value for key, value in document.data.items() if key not in keys}
    origins = {
        path: origin for path, origin in document.origins.items() if path[:1] not in {(k,) for k in keys}
    }
    return Document(document.name, data, origins)


def _check_figures(
    experiment: Experiment, factors: Sequence[str], known: Figures, problems: _Problems
) -> None:
    for figure in experiment.figures:
        if figure not in known:
            problems.add(("figures",), f"no figure is called {figure!r}{nearest(figure, list(known))}")
        elif lacking := known[figure](factors):
            problems.add(("figures",), f"{figure} {lacking}; or leave it out: --set figures=[]")


def written(model: Cell) -> dict[str, Any]:
    """A model's values as the file would spell them."""
    values = model.model_dump(mode="json", by_alias=True)
    values["topology"] = {key: value for key, value in values["topology"].items() if value is not None}
    return values


class _Problems:
    """Everything that is wrong with a document, each with its place, said at once."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.lines: list[str] = []

    def add(self, path: Path_, text: str, origin: str | None = None) -> None:
        """The item of a list is named where something below it is wrong: traffic[0].from."""
        parts = [str(part) for part in path if not isinstance(part, int)]
        for index, part in enumerate(path[1:-1]):
            if isinstance(part, int):
                parts[index] += f"[{part}]"
        key = shorten(".".join(parts))
        line = f"{origin or self.document.origin(path)}: {key}: {abridged(text)}"
        if line not in self.lines and len(self.lines) < MOST_PROBLEMS:
            self.lines.append(line)

    def stop(self) -> None:
        if self.lines:
            raise UserError("\n".join(self.lines))


def _nested(document: Document, model: type[Cell] = Experiment) -> tuple[dict[str, Any], dict[str, Any]]:
    """The document's data without, and the keys that set links and paths; for a cell, without what only
    an experiment has."""
    foreign = set() if model is Experiment else Experiment.model_fields.keys() - Cell.model_fields.keys()
    links = {key: value for key, value in document.data.items() if key.startswith(ONE_KEY)}
    rest = {key: value for key, value in document.data.items() if key not in links and key not in foreign}
    return rest, links


def _validate(
    model: type[Model],
    data: tuple[dict[str, Any], dict[str, Any]],
    problems: _Problems,
    skip: tuple[str, ...] = (),
) -> Model | None:
    values, links = data
    given = {key: value for key, value in values.items() if key not in skip}
    if "network" in given:
        problems.add(("network",), f"unknown key{nearest('network', _file_keys(model))}")
    try:
        made = model.model_validate(
            {**given, "network": {key: _shown(value) for key, value in links.items()}}
        )
    except ValidationError as error:
        for detail in error.errors():
            path = _real_path(detail["loc"])
            if detail["type"] == "extra_forbidden":
                known = [key for key in keys_at(model, path) if key != "network"]
                problems.add(path, f"unknown key{nearest(str(path[-1]), known)}")
            else:
                problems.add(path, expectation(detail))
        return None
    if made.topology.name is None and made.topology.file is None:
        problems.add(("topology",), "expected name: (one of `testbed topo list`) or file:")
    if made.topology.name is not None and made.topology.file is not None:
        problems.add(("topology", "file"), "stands beside name:; one of the two is enough")
    if problems.lines:
        return None
    try:
        for path, text in impossible(made, network_of(made)):
            problems.add(path, text)
    except UserError as error:
        text = str(error)
        key = next((key for key in (*links, "workload") if text.startswith(key)), "topology")
        problems.add((key,), text.removeprefix(f"{key}: "))
    return None if problems.lines else made


def _shown(value: Any) -> Any:
    """'5%' is 5: a factor that is a number everywhere can be drawn on an axis."""
    if isinstance(value, str) and value.endswith("%"):
        try:
            number = float(value.removesuffix("%"))
        except ValueError:
            return value
        value = number if math.isfinite(number) else value
    return plain_number(value) if isinstance(value, float) else value


def _file_keys(model: type[Cell]) -> list[str]:
    return [key for key in model.model_fields if key != "network"]


def _real_path(loc: tuple[str | int, ...]) -> Path_:
    """pydantic's location without the branches of unions that it adds behind the key."""
    return tuple(
        part for part in loc if isinstance(part, int) or not part.startswith(("function-", "constrained-"))
    )


def _resolve_file(document: Document) -> None:
    """`topology.file` stands relative to the experiment's own directory."""
    topology = document.data.get("topology")
    if isinstance(topology, dict) and isinstance(topology.get("file"), str):
        topology["file"] = str((Path(document.name).parent / topology["file"]).resolve())


def _may_vary(key: str) -> bool:
    return key.startswith((*VARIABLE, *ONE_KEY)) or key == "connections"


def _check_case(document: Document, case: Case, problems: _Problems) -> None:
    """A case alone, with what it does not say as the file has it."""
    copy = document.copy()
    for setting in case.settings:
        copy.set(*setting)
    here = _Problems(copy)
    _validate(Cell, _nested(copy, Cell), here)
    origins = tuple(f"{origin}: " for _, _, origin in case.settings)
    for line in here.lines:
        if line.startswith(origins) and line not in problems.lines:
            problems.lines.append(line)


def _with_first_values(document: Document, vary: dict[str, Any]) -> Document:
    """What a file says for itself need not be whole: here with the first value of every factor."""
    whole = document.copy()
    for key, values in vary.items():
        if _may_vary(key) and isinstance(values, list) and values:
            whole.set(key, values[0], document.origin(("vary", key, 0)))
    return whole


def _check_factors(
    document: Document, whole: Document, vary: dict[str, Any], problems: _Problems
) -> list[tuple[str, list[tuple[Any, Any, str]]]]:
    """(key, [(value as given, value as shown, origin)]) for every factor, each value tried with the first of
    the others."""
    factors = []
    plain = _without(whole, "vary", "cases")
    for key, values in vary.items():
        path = ("vary", key)
        if not _may_vary(key):
            problems.add(
                path, f"cannot be varied; only connections and {', '.join((*VARIABLE, *ONE_KEY))} can"
            )
            continue
        if not isinstance(values, list) or not values:
            problems.add(path, "expected a list of at least one value, such as [1, 2]")
            continue
        place = path_of(document.data, key)
        if value_at(document.data, place) is not None:
            fixed = document.origin(place)
            problems.add(path, f"is varied here and fixed at {fixed}; leave one of the two")
            continue
        tried: list[tuple[Any, Any, str]] = []
        seen: set[str] = set()
        for index, value in enumerate(values):
            origin = document.origin((*path, index))
            copy = plain.copy()
            copy.set(key, value, origin)
            here = _Problems(copy)
            cell = _validate(Cell, _nested(copy, Cell), here)
            for line in here.lines:
                if line.startswith(f"{origin}: ") and line not in problems.lines:
                    problems.lines.append(line)
            if not set(here.lines) <= set(problems.lines) and not problems.lines:
                problems.lines += here.lines  # what this value makes wrong elsewhere
            if cell is None or here.lines:
                continue
            data = written(cell)
            everything = {**data, **data["network"]}
            shown = value_at(everything, path_of(everything, key))
            text = json.dumps(shown, sort_keys=True)
            if text in seen:
                problems.add((*path, index), f"{quoted(value)} stands here twice", origin)
            seen.add(text)
            tried.append((value, shown, origin))
        factors.append((key, tried))
    return factors


def _remove(data: dict[str, Any], path: Path_) -> None:
    above = value_at(data, path[:-1])
    if isinstance(above, dict):
        above.pop(path[-1], None)
