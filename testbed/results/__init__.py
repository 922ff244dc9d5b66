"""Rows out of records, and what may be said of them.

For a notebook: `from testbed.results import load; load("results/fallback-sim").connections`.
"""

from testbed.results.calibration import CALIBRATION, asked_and_measured, calibration_rows, calibration_table
from testbed.results.calibration import HEAD as CALIBRATION_HEAD
from testbed.results.csv_text import to_csv
from testbed.results.expected import closed_form
from testbed.results.late import interval_lines, late_lines
from testbed.results.matrix import Matrix, matrix
from testbed.results.paths import share_columns
from testbed.results.statistics import agreement, cluster_mean, exact_interval, wilson_interval
from testbed.results.store import Results, load, write_tables
from testbed.results.traffic import traffic_columns

__all__ = [
    "CALIBRATION",
    "CALIBRATION_HEAD",
    "Matrix",
    "Results",
    "agreement",
    "asked_and_measured",
    "calibration_rows",
    "calibration_table",
    "closed_form",
    "cluster_mean",
    "exact_interval",
    "interval_lines",
    "late_lines",
    "load",
    "matrix",
    "share_columns",
    "to_csv",
    "traffic_columns",
    "wilson_interval",
    "write_tables",
]
