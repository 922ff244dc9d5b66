"""A NetPlan in virtual time: hosts and links on one event queue. Pure: one seed, one outcome."""

from testbed.sim.network import CaptureSink
from testbed.sim.simulate import simulate

__all__ = ["CaptureSink", "simulate"]
