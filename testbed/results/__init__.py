"""Rows out of records, and what may be said of them.

For a notebook: `from testbed.results import load; load("results/fallback-sim").connections`.
"""

from testbed.results.expected import closed_form
from testbed.results.matrix import Matrix, matrix
from testbed.results.paths import share_columns
from testbed.results.statistics import agreement, bootstrap_mean, exact_interval, wilson_interval
from testbed.results.store import Results, load, write_tables

__all__ = [
    "Matrix",
    "Results",
    "agreement",
    "bootstrap_mean",
    "closed_form",
    "exact_interval",
    "load",
    "matrix",
    "share_columns",
    "wilson_interval",
    "write_tables",
]
