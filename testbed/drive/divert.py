"""Policy routing that hands chosen TCP ports of this host's own addresses to a TUN device.

Decides which rules, routes and sysctls that takes in the current network namespace, and that they are
undone exactly: the last stack to leave restores what the first one found, and what a killed one left
behind is undone by the next. The kernel keeps ARP, ICMP and every other port, and never answers for the
diverted ones: packets to ADDRESS:PORT are *forwarded* into the TUN, and what the stack writes there comes
in as from a neighbour and is forwarded to its destination. Knows nothing of what the stack does.
Read first: ip-rule(8); the kernel's Documentation/networking/ip-sysctl.rst; state.py.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from testbed.drive.addresses import Address, addresses_of_host
from testbed.drive.ports import describe_listener, free_client_range, listeners
from testbed.drive.state import State, User, namespace_state
from testbed.drive.sysctl import Sysctls
from testbed.drive.tun import Tun
from testbed.errors import MachineError, UserError

RULE_PRIORITY = 1  # ahead of the local table, which moves from 0 to LOCAL_PRIORITY
LOCAL_PRIORITY = 10
LOCAL_TABLE = 255
RULE_PROTOCOL = 77  # marks our rules
TABLE_BASE = 20_000  # + the interface index of the TUN
_KERNEL = 2  # RTPROT_KERNEL, as the machine's own local rule is marked
_FAMILIES = (socket.AF_INET, socket.AF_INET6)


def _family(address: Address) -> int:
    return socket.AF_INET if address.version == 4 else socket.AF_INET6


class Divert:
    """`with Divert(tun, ports, addresses):` TCP to these addresses and ports arrives at `tun`.

    `ports` is an inclusive pair; with None a range for a client's connections is chosen. `doors` are single
    ports of single addresses besides, such as one that was announced with an address. UserError when
    an address is not this host's or a port is taken, MachineError without the rights; nothing is left
    behind by either.
    """

    def __init__(
        self,
        tun: Tun,
        ports: tuple[int, int] | None,
        addresses: tuple[str, ...],
        doors: tuple[tuple[str, int], ...] = (),
    ) -> None:
        self._tun = tun
        self._doors = doors
        self._wanted = ports
        self.ports = ports or (0, 0)
        self._addresses = tuple(ipaddress.ip_address(text) for text in addresses)
        self._families = sorted({_family(address) for address in self._addresses})
        self._netlink = IPRoute()
        self._index = 0

    @property
    def _table(self) -> int:
        return TABLE_BASE + self._index

    def __enter__(self) -> Divert:
        try:
            with namespace_state() as state:
                self._index = self._netlink.link_lookup(ifname=self._tun.name)[0]
                self._forget_the_dead(state)
                if self._wanted is None:
                    self.ports = free_client_range([user.ports for user in state.users])
                self._refuse_conflicts(state)
                with ExitStack() as undo:
                    undo.callback(self._leave, state)
                    self._set_up(state)
                    undo.pop_all()
        except (PermissionError, NetlinkError) as error:
            self._netlink.close()
            if isinstance(error, NetlinkError) and error.code != errno.EPERM:
                raise
            what = getattr(error, "filename", None) or "routing"
            raise MachineError(
                f"not allowed to change {what} in this network namespace: run as root"
            ) from None
        except BaseException:
            self._netlink.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        with namespace_state() as state:
            self._leave(state)
        self._netlink.close()

    def tun_drops(self) -> int:
        """Packets that the kernel dropped because nobody read them off the TUN in time."""
        statistics = self._netlink.link("get", index=self._index)[0].get_attr("IFLA_STATS64")
        return int(statistics["tx_dropped"])

    def _refuse_conflicts(self, state: State) -> None:
        own = addresses_of_host()
        for address in self._addresses:
            if address.is_loopback and address.version == 6:
                raise UserError(
                    f"{address} cannot be diverted: Linux lets it pass on the loopback device only"
                )
            if str(address) not in own and not address.is_loopback:
                have = ", ".join(other for other in own if other != "127.0.0.1")
                raise UserError(f"{address} is no address of this host; it has {have or 'none'}")
        for claim in self._claims():
            _refuse_what_is_taken(claim, state)

    def _claims(self) -> list[User]:
        """What is diverted: ports of all addresses, and single doors."""
        found = [(self.ports, tuple(str(address) for address in self._addresses))]
        low, high = self.ports
        found += [((port, port), (address,)) for address, port in self._doors if not low <= port <= high]
        return [User(self._tun.name, self._index, ports, addresses) for ports, addresses in found]

    def _set_up(self, state: State) -> None:
        netlink, index = self._netlink, self._index
        claims = self._claims()
        state.users += claims
        links = [link.get_attr("IFLA_IFNAME") for link in netlink.get_links()]
        sysctls = Sysctls(state.originals)
        sysctls.let_stacks_share(
            device=self._tun.name,
            others=[name for name in links if name not in ("lo", self._tun.name)],
            ipv6=socket.AF_INET6 in self._families,
            loopback=any(address.is_loopback for address in self._addresses),
        )
        sysctls.reserve_ports([user.ports for user in state.users])
        netlink.link("set", index=index, mtu=65535, txqlen=5000, state="up")
        for family in self._families:
            netlink.route("add", family=family, dst="default", oif=index, table=self._table)
            self._move_local_table(family)
        for claim in claims:
            for address in map(ipaddress.ip_address, claim.addresses):
                netlink.rule(
                    "add",
                    family=_family(address),
                    priority=RULE_PRIORITY,
                    table=self._table,
                    dst=str(address),
                    dst_len=address.max_prefixlen,
                    ip_proto=socket.IPPROTO_TCP,
                    dport_range=f"{claim.ports[0]}:{claim.ports[1]}",
                    protocol=RULE_PROTOCOL,
                )

    def _local_priorities(self, family: int) -> list[int]:
        return [
            message.get_attr("FRA_PRIORITY") or 0
            for message in self._netlink.get_rules(family=family)
            if message.get_attr("FRA_TABLE") == LOCAL_TABLE
        ]

    def _local_rule(self, verb: str, family: int, priority: int) -> None:
        self._netlink.rule(
            verb, family=family, priority=priority, table=LOCAL_TABLE, action="to_tbl", protocol=_KERNEL
        )

    def _move_local_table(self, family: int) -> None:
        """There is always one rule for the local table: the new one stands before the old one goes."""
        priorities = self._local_priorities(family)
        if LOCAL_PRIORITY not in priorities:
            self._local_rule("add", family, LOCAL_PRIORITY)
        if 0 in priorities:
            self._local_rule("del", family, 0)

    def _restore_local_table(self, family: int) -> None:
        priorities = self._local_priorities(family)
        if LOCAL_PRIORITY in priorities:
            if 0 not in priorities:
                self._local_rule("add", family, 0)
            self._local_rule("del", family, LOCAL_PRIORITY)

    def _drop_rules(self, doomed: Callable[[int], bool]) -> None:
        """Deletes our rules that lead to a table which is `doomed`."""
        for family in _FAMILIES:
            for message in self._netlink.get_rules(family=family):
                table = message.get_attr("FRA_TABLE")
                if message.get_attr("FRA_PROTOCOL") == RULE_PROTOCOL and doomed(table):
                    self._netlink.rule(
                        "del",
                        family=family,
                        priority=RULE_PRIORITY,
                        table=table,
                        dst=message.get_attr("FRA_DST"),
                        dst_len=message["dst_len"],
                        ip_proto=socket.IPPROTO_TCP,
                        dport_range=message.get_attr("FRA_DPORT_RANGE"),
                        protocol=RULE_PROTOCOL,
                    )

    def _forget_the_dead(self, state: State) -> None:
        """A stack lives as long as its TUN device: what others left behind is undone first. Who had our own
        device is dead: its namespace is gone, and this one got its number."""
        alive = {(link.get_attr("IFLA_IFNAME"), link["index"]) for link in self._netlink.get_links()}
        alive -= {(self._tun.name, self._index)}
        state.users = [user for user in state.users if (user.device, user.index) in alive]
        kept = {TABLE_BASE + user.index for user in state.users}
        self._drop_rules(lambda table: table not in kept)
        if not state.users:
            # A namespace number may be used again: originals are ours only if our local rule stands.
            moved = [family for family in _FAMILIES if LOCAL_PRIORITY in self._local_priorities(family)]
            if moved:
                Sysctls(state.originals).restore()
                for family in moved:
                    self._restore_local_table(family)
            state.originals.clear()

    def _leave(self, state: State) -> None:
        state.users = [user for user in state.users if user.index != self._index]
        self._drop_rules(lambda table: table == self._table)
        if state.users:
            Sysctls(state.originals).reserve_ports([user.ports for user in state.users])
            return
        for family in _FAMILIES:
            self._restore_local_table(family)
        Sysctls(state.originals).restore()
        state.originals.clear()


def _refuse_what_is_taken(claim: User, state: State) -> None:
    low, high = claim.ports
    for user in state.users:
        if user.ports[0] <= high and low <= user.ports[1]:
            shared = set(claim.addresses) & set(user.addresses)
            if shared:
                raise UserError(
                    f"port {max(low, user.ports[0])} of {min(shared)} is in use by another testbed stack "
                    f"({user.device}, ports {user.ports[0]}-{user.ports[1]}); choose another, or end it"
                )
    for port in listeners():
        if low <= port <= high:
            raise UserError(
                f"port {port} is in use by {describe_listener(port)}; choose another port, or end it"
            )
