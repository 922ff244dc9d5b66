"""Captures as this testbed writes them: pcapng, nanoseconds, dropped packets marked (`trace` reads them)."""

from testbed.capture.pcapng import (
    DROPPED,
    ETHERNET,
    RAW_IP,
    CapturedPacket,
    CaptureWriter,
    Interface,
    write_pcapng,
)

__all__ = [
    "DROPPED",
    "ETHERNET",
    "RAW_IP",
    "CapturedPacket",
    "CaptureWriter",
    "Interface",
    "write_pcapng",
]
