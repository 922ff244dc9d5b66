"""What the stack can do at most on this machine, and Linux's own beside it in the same minutes.

Decides what is measured and how the comparison stays fair. Nothing here judges: a number is a number.
"""

from testbed.bench import datapath, paths
from testbed.bench.text import profile_of, summary

__all__ = ["datapath", "paths", "profile_of", "summary"]
