"""From an experiment file to finished runs: checked, seeded, in parallel, resumable."""

from testbed.runner.campaign import Finished, Progress, default_jobs, run_campaign
from testbed.runner.capacity import Step, calibrate_links, carried_rates
from testbed.runner.conclude import Conclusion, conclude
from testbed.runner.document import parse_set
from testbed.runner.environment import commit, machine
from testbed.runner.experiment import Campaign, load_experiment
from testbed.runner.spec import build
from testbed.runner.units import size
from testbed.runner.way import Way, choose_way

__all__ = [
    "Campaign",
    "Conclusion",
    "Finished",
    "Progress",
    "Step",
    "Way",
    "build",
    "calibrate_links",
    "carried_rates",
    "choose_way",
    "commit",
    "conclude",
    "default_jobs",
    "load_experiment",
    "machine",
    "parse_set",
    "run_campaign",
    "size",
]
