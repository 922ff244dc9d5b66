"""A NetPlan as a running Mininet network in namespaces of its own: real time, real kernels, nothing left
behind.

The names are loaded when asked for: a lab's own processes need none of what holds it from outside.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from testbed.net.machine import check, has_mnexec, has_netem, namespaces
    from testbed.net.run import Lab, run_in_lab, shell

__all__ = ["Lab", "check", "has_mnexec", "has_netem", "namespaces", "run_in_lab", "shell"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from testbed.net import machine, run

    return getattr(run if name in ("Lab", "run_in_lab", "shell") else machine, name)
