"""How many connections may end in an error, in percent, per fault that acted.

Of the connections in which no other fault acted than this one and the network's. Faults of the network alone
allow none. `mixed`: several faults acted that are not the network's. `cookie`: a server without state refused
a packet (RFC 9293 §3.10.7.2) because a loss or a reordering made it the first that arrived; a share of the
connections in which SYN cookies were in use and only the network's faults acted.

A bound is about 1.3 times what 2 million packets measured. Lower it when the stack gets better.
"""

from __future__ import annotations

BOUNDS: dict[str, float] = {}
