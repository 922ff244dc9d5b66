"""The three ways in which a command ends badly, and the exit status of each.

Decides exit statuses; `testbed/cli` prints the message and nothing else, never a traceback.
A message names the place (file, line, key), what was expected, and what to do next.
"""

from __future__ import annotations


class TestbedError(Exception):
    """Ends the command with `status`; the message is all that the user sees."""

    __test__ = False  # not a test class, whatever pytest makes of the name
    status = 1


class RunFailed(TestbedError):
    """A run failed, or stayed invalid after three tries."""

    status = 1


class UserError(TestbedError):
    """The user's input is wrong."""

    status = 2


class MachineError(TestbedError):
    """The machine lacks something; the message carries the command that mends it."""

    status = 3
