"""What a figure of a paper is drawn from, as plain values: campaigns, measurements, ladders.

Decides the words for these. Must not know which figures there are, or how anything is run.
"""

from __future__ import annotations

from dataclasses import dataclass, field

NETS = ("sim", "mininet")
SIM_CONNECTIONS, LAB_CONNECTIONS = 10_000, 500  # a point
QUICK_SIM, QUICK_LAB = 400, 60


@dataclass(frozen=True, slots=True)
class Campaign:
    """An experiment to run, once in each of `nets`.

    `experiment` is a file below experiments/. `connections` per cell and way of running, `quick` the same for
    a quick reproduction; both empty: as the file says. `sets`: further `--set`, `lab_sets` those of labs,
    `quick_sets` those of a quick reproduction, which runs in `quick_nets` alone. `samples`: connections per
    cell whose packets are captured in the simulator besides, for the ladders behind the points of a curve.
    `linux`: it needs the kernel's own Multipath TCP.
    """

    name: str
    experiment: str
    nets: tuple[str, ...] = NETS
    connections: dict[str, int] = field(
        default_factory=lambda: {"sim": SIM_CONNECTIONS, "mininet": LAB_CONNECTIONS}
    )
    quick: dict[str, int] = field(default_factory=lambda: {"sim": QUICK_SIM, "mininet": QUICK_LAB})
    sets: tuple[str, ...] = ()
    lab_sets: tuple[str, ...] = ()
    quick_sets: tuple[str, ...] = ()
    quick_nets: tuple[str, ...] = ("sim",)
    samples: int = 0
    linux: bool = False


@dataclass(frozen=True, slots=True)
class Measurement:
    """Something measured without a network. `measured_by` is "module:function": sizes -> rows that JSON can
    hold; it runs in a process of its own."""

    name: str
    title: str
    measured_by: str
    sizes: tuple[int, ...]
    quick_sizes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Slide:
    """`name` is what `testbed reproduce` takes. `drawn_by` is "module:function": Material -> Section. `main`:
    patterns of the names of those numbers that say it in short; the first that fits each is taken."""

    name: str
    title: str
    question: str
    drawn_by: str
    campaigns: tuple[Campaign, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    main: tuple[str, ...] = ()


# Captured; the ladder of the last connection of a row is Material.ladders[row].
LADDERS = Campaign("ladders", "seed/ladders.yaml", nets=("sim",), connections={}, quick={})
