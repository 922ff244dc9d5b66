"""The endpoint in real time: TUN, policy routing, epoll and one timer; the wires; the programs by hand.

Started as processes (`python -m testbed.drive.host`, `python -m testbed.drive.wires`), or, for
`testbed server` and `testbed client`, through this door. The names are loaded when asked for: a lab starts
many small processes, and each should load only its own part.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from testbed.drive.arguments import ClientArguments, ServerArguments
    from testbed.drive.names import address_of
    from testbed.drive.programs import Result, run_client, run_server
    from testbed.workloads.intervals import Interval

__all__ = [
    "address_of",
    "ClientArguments",
    "Interval",
    "Result",
    "ServerArguments",
    "run_client",
    "run_server",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "address_of":
        from testbed.drive import names

        return names.address_of
    from testbed.drive import programs

    return getattr(programs, name)
