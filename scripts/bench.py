"""Prints what one bulk transfer achieved and what it cost: goodput over payload capacity first, then packets
per second, CPU and memory of each process. Reads the output directory of experiments/bulk.yaml.
"""

from __future__ import annotations

import sys
from pathlib import Path

from testbed.records import finished_runs, read_rows

FRAME = 14  # bytes of Ethernet header that a link's rate counts with the IP packet
HEADERS = 40 + 12  # IPv4, TCP, timestamps
DSS = 28  # a mapping and a DATA_ACK with 64-bit numbers, padded


def capacity(profile: str, rate: float) -> float:
    """Payload in Mbit/s that a link of `rate` Mbit/s carries in full segments of 1500 bytes."""
    options = 0 if profile == "tcp" else DSS
    return rate * (1500 - HEADERS - options) / (1500 + FRAME)


def main(directory: Path) -> None:
    for path, record in finished_runs(directory):
        profile = record["settings"]["client"]["profile"]
        rate = float(record["settings"]["topology"]["bw"])
        for row in (row for row in read_rows(path) if row["role"] == "client"):
            seconds = (row["done_ns"] - row["connected_ns"]) / 1e9
            goodput = (row["bytes_sent"] + row["bytes_received"]) * 8 / seconds / 1e6
            share = goodput / capacity(profile, rate)
            print(f"{profile:<6} {share:7.2%} of the payload capacity, {goodput:.3f} Mbit/s")
        costs = record["fidelity"]
        for process in ("client", "server", "wire"):
            if f"{process}_packets" in costs:
                print(
                    f"  {process:<7} {costs[f'{process}_packets_per_second']:7.0f} packets/s, "
                    f"{costs[f'{process}_cpu_share']:6.1%} of a core, "
                    f"{costs[f'{process}_max_rss_kb'] / 1024:.0f} MB"
                )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
