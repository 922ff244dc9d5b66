"""The work behind a reproduction, piece by piece: which campaigns and measurements, in which order, how big.

Decides the order (what is quick and needs nothing of the machine first, labs last), each campaign's settings
in a full and in a quick reproduction, where its results lie, and how much of the whole it is. Must not know
how it is run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from testbed.errors import MachineError
from testbed.mptcp.config import SECOND
from testbed.reproduce.needs import NETS, Campaign, Measurement, Slide
from testbed.runner import Campaign as Loaded
from testbed.runner import build, load_experiment
from testbed.shipped import shipped
from testbed.workloads import Workload

CAMPAIGNS, MEASUREMENTS = "campaigns", "measurements"
SAMPLES = "samples"
SIMULATION_BEGINS = 0.01  # s
SIMULATED_PER_SECOND = 2_200  # connections, on two cores
SIMULATED_BYTES_PER_SECOND = 28_000_000  # of their data
LABS_MEASURED, LAB_ENDS, LABS_AT_A_TIME = 4.0, 6.0, 5  # s, s, labs
MEASURED_PER_SECOND = 20_000


@dataclass(frozen=True, slots=True)
class Step:
    """One campaign in one way of running, its samples, or one measurement. `key` is its name in a Material,
    and its directory; `weight` is about how many seconds it takes."""

    key: str
    title: str
    weight: float
    campaign: Campaign | None = None
    net: str = ""
    loaded: Loaded | None = None
    sets: tuple[str, ...] = ()
    measurement: Measurement | None = None
    sizes: tuple[int, ...] = ()

    @property
    def samples(self) -> bool:
        return self.key.endswith(f"-{SAMPLES}")

    @property
    def command(self) -> str:
        """What makes the same by hand."""
        if self.campaign is None:
            return "testbed reproduce"
        words = " ".join(f"--set '{one}'" for one in self.sets)
        return f"testbed run experiments/{self.campaign.experiment} --net {self.net} {words}".rstrip()


def steps_of(slides: Iterable[Slide], quick: bool, nets: Collection[str] = NETS) -> list[Step]:
    """Each campaign and measurement once, whichever slides need it, in the ways of running `nets`."""
    chosen = list(slides)
    campaigns = {one.name: one for slide in chosen for one in slide.campaigns}
    measurements = {one.name: one for slide in chosen for one in slide.measurements}
    found = [_measurement(one, quick) for one in measurements.values()]
    found += [_samples(one, quick) for one in campaigns.values() if one.samples]
    for net in NETS:
        for one in campaigns.values():
            if net in nets and net in (one.quick_nets if quick else one.nets):
                found.append(_campaign(one, net, quick))
    return found


def experiments() -> Path:
    """Return the folder of the experiment files. MachineError where they were not installed."""
    folder = shipped("experiments")
    if not folder.is_dir():
        raise MachineError(
            f"{folder}: the experiments are missing; install the package again, or use a checkout"
        )
    return folder


def _campaign(campaign: Campaign, net: str, quick: bool) -> Step:
    sizes = campaign.quick if quick else campaign.connections
    sets = [f"connections={sizes[net]}"] if net in sizes else []
    sets += [*campaign.sets, *(campaign.lab_sets if net == "mininet" else ())]
    sets += campaign.quick_sets if quick else ()
    where = "in the simulator" if net == "sim" else "in a lab"
    return _loaded(f"{campaign.name}-{net}", f"{campaign.name} {where}", campaign, net, sets)


def _samples(campaign: Campaign, quick: bool) -> Step:
    sets = [f"connections={campaign.samples}", "capture=true", *campaign.sets]
    sets += campaign.quick_sets if quick else ()
    title = f"{campaign.name} in the simulator, with captures"
    return _loaded(f"{campaign.name}-{SAMPLES}", title, campaign, "sim", sets)


def _loaded(key: str, title: str, campaign: Campaign, net: str, sets: list[str]) -> Step:
    loaded = load_experiment(experiments() / campaign.experiment, sets)
    weigh = _simulated if net == "sim" else _in_labs
    return Step(key, title, weigh(loaded), campaign, net, loaded, tuple(sets))


def _simulated(loaded: Loaded) -> float:
    """Seconds, about: those of the connections and of their data."""
    total = 0.0
    for plan in loaded.cells:
        load = build(Workload, plan.cell.workload)
        each = 1 / SIMULATED_PER_SECOND + (load.request + load.response) / SIMULATED_BYTES_PER_SECOND
        total += loaded.experiment.repeats * (SIMULATION_BEGINS + plan.cell.connections * each)
    return total


def _in_labs(loaded: Loaded) -> float:
    """Seconds, about: links are measured first; then connections arrive, and the last ones end."""
    total = 0.0
    for plan in loaded.cells:
        load = build(Workload, plan.cell.workload)
        runs = loaded.experiment.repeats * min(loaded.experiment.blocks, plan.cell.connections)
        arriving = loaded.experiment.repeats * plan.cell.connections / load.arrivals
        total += runs * (load.start / SECOND + LAB_ENDS) + arriving
    return LABS_MEASURED + total / (loaded.experiment.jobs or LABS_AT_A_TIME)


def _measurement(measurement: Measurement, quick: bool) -> Step:
    sizes = measurement.quick_sizes if quick else measurement.sizes
    weight = 2 + sum(sizes) / MEASURED_PER_SECOND
    return Step(measurement.name, measurement.title, weight, measurement=measurement, sizes=sizes)
