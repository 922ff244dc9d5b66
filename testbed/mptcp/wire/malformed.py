"""What an option is when its bytes do not fit its layout: kept for the log, ignored by the core."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Malformed:
    """`raw` are the option's bytes as far as they exist, kind byte first."""

    kind: int
    raw: bytes
    why: str

    def encode(self) -> bytes:
        return self.raw
