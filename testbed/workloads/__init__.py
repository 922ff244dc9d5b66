"""What the two applications do with an endpoint, and what they record. Pure."""

from testbed.workloads.outcome import FAULTS, ROW_KEYS, Row, RunOutcome, overflowed
from testbed.workloads.spec import PORT, HostSpec, Workload, packed

__all__ = ["FAULTS", "PORT", "ROW_KEYS", "HostSpec", "Row", "RunOutcome", "Workload", "overflowed", "packed"]
