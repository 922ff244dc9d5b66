"""A NetPlan as a running Mininet network in namespaces of its own: real time, real kernels, nothing left
behind."""

from testbed.net.machine import check, has_mnexec, has_netem, namespaces
from testbed.net.run import Lab, run_in_lab, shell

__all__ = ["Lab", "check", "has_mnexec", "has_netem", "namespaces", "run_in_lab", "shell"]
