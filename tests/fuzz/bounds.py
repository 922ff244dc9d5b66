"""How many connections may end in an error, in percent, per fault that acted.

Of the connections in which no other fault acted than this one and the network's. Faults of the network alone
allow none. `mixed`: several faults acted that are not the network's. `cookie`: a server without state refused
a packet (RFC 9293 §3.10.7.2) because a loss or a reordering made it the first that arrived; a share of the
connections in which SYN cookies were in use and only the network's faults acted.

A bound is about 1.3 times what 6 million packets measured (campaigns 11 to 13). Where that was none, the
bound is 0, so that a single error fails. Lower a bound when the stack gets better.
"""

from __future__ import annotations

BOUNDS: dict[str, float] = {
    "strip_mptcp": 7.0,
    "strip_dss": 19.0,
    "strip_capable": 1.5,
    "strip_join": 0.0,
    "strip_addresses": 0.0,
    "strip_timestamps": 0.0,
    "strip_sack": 0.0,
    "strip_any": 7.0,
    "cut": 10.5,
    "split_first": 0.0,
    "split_last": 1.5,
    "merge_lossy": 6.0,
    "move": 5.5,
    "repeat": 0.0,
    "unknown": 0.0,
    "shuffle": 0.0,
    "payload": 2.0,
    "option_bits": 39.0,
    "header_bits": 23.0,
    "timestamps": 24.0,
    "forge": 17.0,
    "alias": 0.0,
    "mixed": 20.0,
    "cookie": 0.6,
}
