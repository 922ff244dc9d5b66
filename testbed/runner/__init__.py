"""From an experiment file to finished runs: checked, seeded, in parallel, resumable."""

from testbed.runner.campaign import Finished, Progress, default_jobs, run_campaign
from testbed.runner.experiment import Campaign, load_experiment

__all__ = ["Campaign", "Finished", "Progress", "default_jobs", "load_experiment", "run_campaign"]
