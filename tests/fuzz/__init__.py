"""Fuzz of two endpoints over an adversarial network, in virtual time.

A case follows from one number, its seed: both configurations, the paths, both applications, the faults of
the network and the addresses that come and go. case.py draws it, faults.py and network.py are the network,
play.py runs and checks it, campaign.py counts over many and holds the counts against bounds.py, shrink.py
makes a failing case smaller. test_fuzz.py runs a few hundred cases in `make test`; `make fuzz` (command.py)
runs millions of packets and replays single cases.
"""
