"""Schedulers by name: which subflow takes the next bytes. Values in, values out.

A new scheduler is one file and one row here. The interface is in candidate.py; backup subflows are handled
for all schedulers in backup.py.
"""

from testbed.mptcp.sched.backup import eligible
from testbed.mptcp.sched.candidate import Candidate, Scheduler
from testbed.mptcp.sched.lowest_rtt import LowestRtt
from testbed.mptcp.sched.redundant import Redundant
from testbed.mptcp.sched.round_robin import RoundRobin

SCHEDULERS: dict[str, type[Scheduler]] = {
    "lowest_rtt": LowestRtt,
    "round_robin": RoundRobin,
    "redundant": Redundant,
}

__all__ = ["SCHEDULERS", "Candidate", "LowestRtt", "Redundant", "RoundRobin", "Scheduler", "eligible"]
