"""Backup subflows: they carry data only while nothing else can.

Decides that, for all schedulers alike. Whether a subflow is usable is for the caller to say.
Read first: RFC 8684 §3.3.8.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar


class HasBackup(Protocol):
    @property
    def backup(self) -> bool: ...


Subflow = TypeVar("Subflow", bound=HasBackup)


def eligible(usable: Sequence[Subflow]) -> list[Subflow]:
    """Of all usable subflows, with room or without, those that may carry data now.

    A regular subflow whose window is full still keeps the backups out.
    """
    regular = [one for one in usable if not one.backup]
    return regular or list(usable)
