"""Congestion control: controllers by name. Values in, values out; none ever sees a connection.

A new controller is one file and one row here. The interface is in controller.py.
"""

from testbed.mptcp.cc.controller import Controller
from testbed.mptcp.cc.cubic import Cubic
from testbed.mptcp.cc.group import Group
from testbed.mptcp.cc.lia import Lia
from testbed.mptcp.cc.newreno import NewReno
from testbed.mptcp.cc.olia import Olia

CONTROLLERS: dict[str, type[Controller]] = {
    "newreno": NewReno,
    "cubic": Cubic,
    "lia": Lia,
    "olia": Olia,
}

__all__ = ["CONTROLLERS", "Controller", "Cubic", "Group", "Lia", "NewReno", "Olia"]
