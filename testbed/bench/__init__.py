"""What the stack can do at most on this machine, Linux's beside it in the same minutes, and what it holds.

Decides what is measured and how the comparison stays fair. Nothing here judges: a number is a number.
"""

from testbed.bench import datapath, half_open, labs, paths
from testbed.bench.text import profile_of, summary
from testbed.bench.turns import Turns

__all__ = ["Turns", "datapath", "half_open", "labs", "paths", "profile_of", "summary"]
