"""Path management: which subflows to open and which addresses to announce. Values in, actions out.

The words are iproute2's (`ip mptcp endpoint`, `ip mptcp limits`), the rules those of Linux's in-kernel path
manager, with one word of our own: `pair`. endpoints.py has the words, wanted.py the rules.
"""

from testbed.mptcp.paths.endpoints import Flag, Limits, LocalEndpoint, PathsConfig
from testbed.mptcp.paths.wanted import (
    Announce,
    Join,
    Known,
    Subflow,
    View,
    endpoint_of,
    endpoints_of,
    wanted,
    withdrawn,
)
from testbed.mptcp.paths.words import describe, describe_limits, parse_endpoint, parse_limits

__all__ = [
    "Announce",
    "Flag",
    "Join",
    "Known",
    "Limits",
    "LocalEndpoint",
    "PathsConfig",
    "Subflow",
    "View",
    "describe",
    "describe_limits",
    "endpoint_of",
    "endpoints_of",
    "parse_endpoint",
    "parse_limits",
    "wanted",
    "withdrawn",
]
