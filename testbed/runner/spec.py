"""The words of an experiment file and what each may be: pydantic models, and the errors they lead to.

Decides keys, units, defaults and how an unknown key is answered. The keys of `client:` and `server:` are
the fields of testbed/mptcp/config.py, so that a new field there is a new key here, and `client.bind`. Must
not know how an experiment is run.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import typing
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    create_model,
)
from pydantic_core import ErrorDetails

from testbed.mptcp.bounds import BOUNDS
from testbed.mptcp.cc import CONTROLLERS
from testbed.mptcp.config import (
    SPOKEN,
    ClientConfig,
    MptcpConfig,
    Profile,
    ServerConfig,
    TcpConfig,
)
from testbed.mptcp.paths import PathsConfig
from testbed.mptcp.sched import SCHEDULERS
from testbed.runner.cases import Expect
from testbed.runner.fidelity import Fidelity
from testbed.runner.units import (
    Bind,
    Duration,
    Endpoints,
    PathLimits,
    Percent,
    PerSecond,
    Size,
    SynRate,
    written_size,
    written_time,
)
from testbed.terminal import shown
from testbed.workloads import Workload
from testbed.workloads.spec import MOST_SYNS

MOST_COUNT = 10**9
MOST_REPEATS = 100_000
MOST_JOBS = 1024  # processes at a time

Dataclass = TypeVar("Dataclass")

# Fields of the dataclasses that people write otherwise than they are held.
UNITS: dict[tuple[type, str], Any] = {
    **{
        (TcpConfig, name): Duration
        for name in ("rto_initial", "rto_min", "rto_max", "delayed_ack", "time_wait")
    },
    **{(TcpConfig, name): Size for name in ("mss", "gso_max_size", "receive_buffer", "send_buffer")},
    (MptcpConfig, "dsn_bytes"): Literal[4, 8],
    **{(Workload, name): Size for name in ("request", "response")},
    (MptcpConfig, "close_timeout"): Duration,
    (Workload, "arrivals"): PerSecond,
    **{(Workload, name): Duration for name in ("timeout", "start")},
    (PathsConfig, "endpoints"): Endpoints,
    (PathsConfig, "limits"): PathLimits,
    **{(Fidelity, name): Duration for name in ("wire_lateness_p99", "timer_lateness_p99", "rtt_error")},
    **{(Fidelity, name): Duration for name in ("late_p50", "late_p99")},
    **{(Fidelity, name): Percent for name in ("late_p50_rtt", "late_p99_rtt")},
    **{(Fidelity, name): Percent for name in ("wire_cpu", "host_cpu", "rate_error")},
}


# Fields that hold a name of a table.
TABLES: dict[tuple[type, str], Mapping[str, Any]] = {
    (TcpConfig, "congestion"): CONTROLLERS,
    (MptcpConfig, "scheduler"): SCHEDULERS,
}


class Strict(BaseModel):
    """Unknown keys are errors; values are never changed afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _words(value: Any) -> Any:
    """'v1, tcp' is [v1, tcp]."""
    return [word.strip() for word in value.split(",")] if isinstance(value, str) else value


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _within(least: int, most: int, unit: Any) -> AfterValidator:
    """A range, and the error in the unit in which the value is written."""

    def show(value: int) -> str:
        return (
            written_size(value) if unit is Size else written_time(value) if unit is Duration else f"{value}"
        )

    def check(value: Any) -> Any:
        if value is not None and not least <= value <= most:
            raise ValueError(f"expected {show(least)} to {show(most)}")
        return value

    return AfterValidator(check)


def _field_type(owner: type, name: str, hint: Any) -> Any:
    """The type of a key, with the range of its number."""
    kind = _unbounded_type(owner, name, hint)
    if (owner, name) in BOUNDS:
        return Annotated[kind, _within(*BOUNDS[owner, name], UNITS.get((owner, name)))]
    return kind


def _unbounded_type(owner: type, name: str, hint: Any) -> Any:
    if (owner, name) in UNITS:
        unit = UNITS[owner, name]
        return typing.Optional[unit] if type(None) in typing.get_args(hint) else unit  # noqa: UP045
    if (owner, name) in TABLES:
        return typing.cast(Any, Literal)[tuple(TABLES[owner, name])]
    if dataclasses.is_dataclass(hint):
        return model_of(typing.cast(type, hint))
    if typing.get_origin(hint) is tuple:
        some = tuple.__class_getitem__((typing.get_args(hint)[0], ...))
        return Annotated[some, BeforeValidator(_words), Field(min_length=1)]
    strict: dict[Any, Any] = {int: Annotated[StrictInt, Field(ge=0, le=MOST_COUNT)], bool: StrictBool}
    if hint in strict:
        return strict[hint]
    if type(None) in typing.get_args(hint):
        return strict.get(typing.get_args(hint)[0], hint) | None
    return hint


_MODELS: dict[type, type[BaseModel]] = {}


def model_of(owner: type) -> type[BaseModel]:
    """The model whose keys are the fields of a dataclass."""
    if owner not in _MODELS:
        hints = typing.get_type_hints(owner)
        fields: dict[str, Any] = {}
        for field in dataclasses.fields(owner):
            kind = _field_type(owner, field.name, hints[field.name])
            if _is_model(kind):
                fields[field.name] = (kind, Field(default_factory=kind))
            else:
                fields[field.name] = (kind, field.default)
        _MODELS[owner] = create_model(f"{owner.__name__}Keys", __base__=Strict, **fields)
    return _MODELS[owner]


def build(owner: type[Dataclass], model: BaseModel) -> Dataclass:
    """The dataclass with a model's values."""
    values = {}
    known = {field.name for field in dataclasses.fields(typing.cast(Any, owner))}
    for name in type(model).model_fields:
        if name not in known:  # `bind`: it is the experiment's, not the stack's
            continue
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            value = build(typing.cast(type, typing.get_type_hints(owner)[name]), value)
        values[name] = value
    return owner(**values)


class Topology(BaseModel):
    """`name` in topologies/ or `file`; every other key is a parameter of the topology's constructor."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name: str | None = None
    file: str | None = None

    @property
    def parameters(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


if typing.TYPE_CHECKING:
    ClientKeys = BaseModel
    ServerKeys = BaseModel
    WorkloadKeys = BaseModel
    FidelityKeys = BaseModel
    RivalKeys = BaseModel
else:
    ClientKeys = create_model("ClientKeys", __base__=model_of(ClientConfig), bind=(Bind, ()))
    ServerKeys, WorkloadKeys = model_of(ServerConfig), model_of(Workload)
    FidelityKeys = model_of(Fidelity)
    RivalKeys = create_model("RivalKeys", __base__=ClientKeys, profile=(Literal[SPOKEN], Profile.TCP))


class Traffic(Strict):
    """Hosts that compete with what is measured: from each of `from` to the host of the same rank of `to`.

    Both may be patterns, such as tcp*. `start` after the run's begin; `bytes` null: as long as the run lasts.
    With `syn_flood` each of `from` sends SYNs to the server `to`, so many a second, `syns` at most.
    """

    from_: str = Field(alias="from")
    to: str
    client: RivalKeys = Field(default_factory=RivalKeys)  # the sink heeds its tcp and mptcp as well
    start: Duration = 0
    bytes: Annotated[Size, Field(ge=1)] | None = None
    syn_flood: SynRate | None = None
    syns: Annotated[StrictInt, Field(ge=1, le=MOST_SYNS)] = MOST_SYNS


class Cell(Strict):
    """One combination of the factors: everything that a run needs besides its seed."""

    topology: Topology
    client: ClientKeys = Field(default_factory=ClientKeys)
    server: ServerKeys = Field(default_factory=ServerKeys)
    workload: WorkloadKeys = Field(default_factory=WorkloadKeys)
    connections: Annotated[StrictInt, Field(ge=1)] = 1
    traffic: tuple[Traffic, ...] = ()
    network: dict[str, Any] = {}  # "paths.*.loss.up" and such: testbed/plan reads them
    expect: Expect = {}  # verdicts, by the client's profile


class Experiment(Cell):
    """A whole file. `repeats` executions of every cell, each with its own seed derived from `seed`."""

    question: str = ""
    cases: dict[str, dict[str, Any]] = {}
    vary: dict[str, list[Any]] = {}
    repeats: Annotated[StrictInt, Field(ge=1, le=MOST_REPEATS)] = 1
    blocks: Annotated[StrictInt, Field(ge=1, le=MOST_REPEATS)] = 3  # lab runs that share the connections
    seed: Annotated[StrictInt, Field(ge=0)] = 1
    figures: Annotated[tuple[str, ...], BeforeValidator(_words)] = ()
    net: Literal["sim", "mininet"] | None = None
    links: Literal["userspace", "kernel"] = "userspace"
    jobs: Annotated[StrictInt, Field(ge=1, le=MOST_JOBS)] | None = None
    capture: StrictBool = False
    fidelity: FidelityKeys = Field(default_factory=FidelityKeys)


VARIABLE = ("client.", "server.", "workload.", "topology.", "traffic.")  # what may be varied begins so


def nearest(word: str, known: Iterator[str] | Mapping[str, Any] | list[str]) -> str:
    """'; did you mean X?', or the whole list where nothing is near."""
    names = list(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else f"; known here: {', '.join(names)}"


def keys_at(model: type[BaseModel], path: tuple[str | int, ...]) -> list[str]:
    """The keys that may stand where `path` stands."""
    here: Any = model
    for part in path[:-1]:
        items = typing.get_args(here)  # of a list
        here = (items[0] if items else None) if isinstance(part, int) else _fields(here).get(part)
    return list(_fields(here))


def _fields(model: Any) -> dict[str, Any]:
    """Key -> type; none where it is no model."""
    fields = model.model_fields.items() if _is_model(model) else ()
    return {field.alias or name: field.annotation for name, field in fields}


def expectation(error: ErrorDetails) -> str:
    """What pydantic found wrong, in the words of the user's file."""
    kind, given = error["type"], error.get("input")
    if kind == "missing":
        return "is missing"
    if kind == "value_error":
        return f"{error['ctx']['error']}, not {shown(given)}"
    if kind == "words":  # says all of it already
        return error["msg"]
    if kind in ("enum", "literal_error"):
        words = re.sub(r"<[^:]*: (.*?)>", r"\1", error["ctx"]["expected"].replace("'", ""))
        text = given.value if isinstance(given, Enum) else given
        return f"expected {words}, not {shown(text)}"
    plain = {
        "int_type": "a whole number",
        "bool_type": "true or false",
        "string_type": "text",
        "model_type": "keys and values below it",
        "dict_type": "keys and values below it",
        "list_type": "a list such as [1, 2]",
        "tuple_type": "a list such as [1, 2]",
        "float_type": "a number",
    }
    if kind in plain:
        return f"expected {plain[kind]}, not {shown(given)}"
    message = error["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return f"expected {message}, not {shown(given)}"
