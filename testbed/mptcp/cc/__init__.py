"""Congestion control: controllers by name. Values in, values out; none ever sees a connection."""

from testbed.mptcp.cc.newreno import NewReno

CONTROLLERS = {"newreno": NewReno}

__all__ = ["CONTROLLERS", "NewReno"]
