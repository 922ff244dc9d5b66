"""What the stack can do at most on this machine, and Linux's own beside it in the same minutes.

Decides what is measured and how the comparison stays fair. Nothing here judges: a number is a number.
"""

from testbed.bench.datapath import Arguments, Outcome, measure
from testbed.bench.text import profile_of, summary

__all__ = ["Arguments", "Outcome", "measure", "profile_of", "summary"]
