"""What one direction of a link does to packets, as plain values.

Decides which values make sense, also after each change of a schedule, and the words in which the error says
so. How they act on packets is in model.py, queue.py and losses.py; what a drop rule matches is in rules.py.
Every value is plain, so that it travels as JSON. Knows nothing of topologies, paths or hosts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from testbed.errors import UserError
from testbed.link.boxes import BoxSpec, parse_box
from testbed.link.losses import Burst, parse_blackout, parse_burst
from testbed.link.queue import Red, parse_red
from testbed.link.rules import parse_rule
from testbed.units import show_size, show_time

MILLISECOND = 1_000_000
KEEP = "keep"
ORDERS = (KEEP, "any")

Plain = int | float | str | tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Change:
    """From `at` on, in nanoseconds since the run began, these fields of LinkParams have these values."""

    at: int
    values: tuple[tuple[str, Plain], ...]


@dataclass(frozen=True, slots=True)
class LinkParams:
    """One direction. Times in nanoseconds, probabilities 0..1 and each packet's own (independent).

    `rate` in bit/s of frames (IP length + 14 bytes); None: as fast as one likes, and no queue.
    `queue`: packets that may wait, or bytes where `queue_in_bytes`; one more is being sent.
    `red`: None for drop-tail, else as in queue.py.
    `jitter`: each packet's delay is uniform in delay ± jitter; it reorders where `jitter_order` is "any".
    `reorder`: probability that a packet is held back `hold` longer, so that others overtake it.
    `burst`: losses of a Gilbert-Elliott chain, see losses.py.
    `blackouts`: intervals since the run began in which everything is lost: "2s-3s".
    `corrupt`: probability that a bit of a packet's IP payload is flipped.
    `duplicate`: probability that a packet arrives twice.
    `drops`: exact drops, see rules.py.
    `boxes`: middleboxes that stand before all of this, see link.py.
    `changes`: what of this changes when.
    """

    rate: int | None = None
    queue: int = 100
    delay: int = 0
    jitter: int = 0
    loss: float = 0.0
    reorder: float = 0.0
    duplicate: float = 0.0
    drops: tuple[str, ...] = ()
    hold: int = 5 * MILLISECOND
    queue_in_bytes: bool = False
    red: str | None = None
    jitter_order: str = KEEP
    burst: str | None = None
    blackouts: tuple[str, ...] = ()
    corrupt: float = 0.0
    boxes: tuple[BoxSpec, ...] = ()
    changes: tuple[Change, ...] = ()

    def __post_init__(self) -> None:
        if self.rate is not None and self.rate <= 0:
            raise UserError(
                f"rate: {self.rate} bit/s; a positive number is expected, or nothing for no limit"
            )
        if self.queue < 1:
            raise UserError(f"queue: {self.queue} packets; at least 1 is expected")
        for name in ("delay", "jitter", "hold"):
            if getattr(self, name) < 0:
                raise UserError(f"{name}: {getattr(self, name)} ns; a time of 0 or more is expected")
        if self.jitter > self.delay:
            raise UserError(
                f"jitter: {self.jitter} ns is more than the delay, {self.delay} ns; no packet arrives early"
            )
        if self.jitter_order not in ORDERS:
            raise UserError(f"jitter_order: {self.jitter_order!r}; expected {' or '.join(ORDERS)}")
        for name in ("loss", "reorder", "duplicate", "corrupt"):
            if not 0 <= getattr(self, name) <= 1:
                percent = getattr(self, name) * 100
                raise UserError(f"{name}: {percent:g} %; a probability between 0 % and 100 % is expected")
        for text in self.drops:
            parse_rule(text)
        self.burst_chain()
        self.dark()
        self._check_red()
        for _ in self.steps():
            pass

    def burst_chain(self) -> Burst | None:
        """`burst`, read."""
        try:
            return None if self.burst is None else parse_burst(self.burst)
        except UserError as error:
            raise UserError(f"burst: {error}") from None

    def dark(self) -> tuple[tuple[int, int], ...]:
        """`blackouts`, read."""
        try:
            return tuple(map(parse_blackout, self.blackouts))
        except UserError as error:
            raise UserError(f"blackout: {error}") from None

    def red_queue(self) -> Red | None:
        """`red`, read."""
        if self.red is None:
            return None
        if self.rate is None:
            raise UserError(f"red: {self.red!r} needs a rate; without one nothing ever waits")
        try:
            return parse_red(self.red, self.rate)
        except UserError as error:
            raise UserError(f"red: {error}") from None

    def steps(self) -> Iterator[tuple[int, LinkParams]]:
        """Each change in the order of time: when, and all values from then on."""
        params = self
        for change in sorted(self.changes, key=lambda change: change.at):
            values: dict[str, Any] = {**dict(change.values), "changes": ()}
            try:
                params = replace(params, **values)
            except UserError as error:
                raise UserError(f"at {show_time(change.at)}: {error}") from None
            yield change.at, params

    def _check_red(self) -> None:
        red = self.red_queue()
        if red is not None and red.in_bytes == self.queue_in_bytes and red.limit > self.queue:
            needed, there = (
                show_size(round(length)) if red.in_bytes else f"{length:g} packets"
                for length in (red.limit, self.queue)
            )
            raise UserError(
                f"red: the limit, {needed}, is beyond the queue of {there}; give the queue that length"
            )


def params_from_plain(values: Mapping[str, Any]) -> LinkParams:
    """What `dataclasses.asdict` made, and JSON may have carried."""
    fields = {key: _tuples(value) for key, value in values.items()}
    fields["boxes"] = tuple(parse_box(box["text"]) for box in values.get("boxes", ()))
    fields["changes"] = tuple(
        Change(change["at"], _tuples(change["values"])) for change in values.get("changes", ())
    )
    return LinkParams(**fields)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
