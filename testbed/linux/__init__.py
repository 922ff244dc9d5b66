"""Linux's own MPTCP: its sockets (sockets.py), settings and counters of a network namespace (node.py), and an
endpoint made of its sockets, so that it can stand at either end of an experiment (endpoint.py).

Empty on purpose: sockets.py is used by programs that must start fast.
"""
