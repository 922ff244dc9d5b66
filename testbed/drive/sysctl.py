"""The sysctls of this network namespace that a diverting stack needs, set and put back.

Decides their values. Only what differs is written, its original goes into the mapping handed in, and
`restore` puts exactly that back. An interface's strict reverse-path filter becomes a loose one, never
none, except on the TUN.
Read first: the kernel's Documentation/networking/ip-sysctl.rst; divert.py.
"""

from __future__ import annotations

from pathlib import Path

_ROOT = Path("/proc/sys/net")
_RESERVED = "ipv4/ip_local_reserved_ports"
_RANGE = "ipv4/ip_local_port_range"
_ENOUGH = 1000  # ports that the kernel should keep for its own connections
_SPARE_RANGE = (10_000, 19_999)

Ports = tuple[int, int]


class Sysctls:
    """`originals`: path below /proc/sys/net -> text before the first change. Owned by the caller."""

    def __init__(self, originals: dict[str, str]) -> None:
        self._originals = originals

    def read(self, name: str) -> str:
        return " ".join((_ROOT / name).read_text().split())

    def write(self, name: str, value: str) -> None:
        """PermissionError when not allowed. The original is noted before anything changes."""
        old = self.read(name)
        if old != value:
            self._originals.setdefault(name, old)
            (_ROOT / name).write_text(value)

    def restore(self) -> None:
        """Last changed, first restored; interfaces that are gone have nothing to restore."""
        for name, value in reversed(self._originals.items()):
            path = _ROOT / name
            if path.exists() and self.read(name) != value:
                # An empty write is no write: an empty list of ports is a newline.
                path.write_text(value or "\n")

    def let_stacks_share(self, device: str, others: list[str], *, ipv6: bool, loopback: bool) -> None:
        """`device` is the TUN (its own settings vanish with it), `others` all interfaces but loopback."""
        strictest = int(self.read("ipv4/conf/all/rp_filter"))
        for name in others:
            own = int(self.read(f"ipv4/conf/{name}/rp_filter"))
            self.write(f"ipv4/conf/{name}/rp_filter", "2" if max(own, strictest) else "0")
            self.write(f"ipv4/conf/{name}/forwarding", "1")
        self.write("ipv4/conf/all/rp_filter", "0")
        if ipv6:
            for name in ("default", *others):
                # Forwarding switches off learning from routers where it is 1, and not where it is 2.
                if self.read(f"ipv6/conf/{name}/accept_ra") == "1":
                    self.write(f"ipv6/conf/{name}/accept_ra", "2")
                # Changed by the next line for all of them, and put back after it.
                own_forwarding = f"ipv6/conf/{name}/forwarding"
                self._originals.setdefault(own_forwarding, self.read(own_forwarding))
            self.write("ipv6/conf/all/forwarding", "1")
        for family, setting, value in (
            ("ipv4", "rp_filter", "0"),
            ("ipv4", "forwarding", "1"),
            ("ipv4", "accept_local", "1"),
            ("ipv4", "send_redirects", "0"),
            ("ipv4", "route_localnet", "1" if loopback else "0"),
            ("ipv6", "disable_ipv6", "0" if ipv6 else "1"),
            ("ipv6", "addr_gen_mode", "1"),  # no link-local address, hence no chatter
            ("ipv6", "accept_ra", "0"),
        ):
            path = _ROOT / family / "conf" / device / setting
            if path.exists():
                path.write_text(value)

    def reserve_ports(self, taken: list[Ports]) -> None:
        """Keeps the kernel's own connections off `taken`, on top of what was reserved before we came."""
        before = self._originals.get(
            _RESERVED, self.read(_RESERVED) if _RESERVED not in self._originals else ""
        )
        ranges = [text for text in before.split(",") if text]
        ranges += [f"{low}-{high}" if low != high else f"{low}" for low, high in taken]
        self.write(_RESERVED, ",".join(ranges))
        low, high = map(int, self.read(_RANGE).split())
        covered = sum(max(0, min(high, b) - max(low, a) + 1) for a, b in taken)
        if high - low + 1 - covered < min(_ENOUGH, high - low + 1):
            self.write(_RANGE, f"{_SPARE_RANGE[0]} {_SPARE_RANGE[1]}")
