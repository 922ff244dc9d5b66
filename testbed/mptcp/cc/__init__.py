"""Congestion control: controllers by name. Values in, values out; none ever sees a connection.

A new controller is one file and one row here. The interface is in controller.py.
"""

from testbed.mptcp.cc.controller import Controller
from testbed.mptcp.cc.group import Group
from testbed.mptcp.cc.newreno import NewReno

CONTROLLERS: dict[str, type[Controller]] = {
    "newreno": NewReno,
}

__all__ = ["CONTROLLERS", "Controller", "Group", "NewReno"]
