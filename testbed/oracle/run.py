"""Runs cells, one after the other in one lab or in several side by side, and says what was seen of each.

Decides the order of a cell: settings, server, client, what happens half-way, the ends' accounts, the
kernel's counters. A lab serves until a cell fails in it: then the next gets a fresh one, so that nothing of a
failure reaches another cell. Knows nothing of tables and progress.
"""

from __future__ import annotations

import itertools
import queue
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import replace

from testbed.errors import MachineError, RunFailed
from testbed.linux import node
from testbed.net import Lab
from testbed.oracle import network
from testbed.oracle.cells import Cell
from testbed.oracle.outcome import End, Outcome, differences
from testbed.oracle.peers import PATIENCE, Peer, Settings, Task
from testbed.oracle.scenarios import DOOR, SCENARIOS, Scenario, Unsupported

SIZE = 10_000_000  # bytes each way
QUICK_SIZE = 1_000_000
SIDES = ("client", "server")
_SETTLED_WITHIN = 10.0  # seconds from the end of the programs to the kernel's last connection
_CLOSED_WITHIN = 30.0  # seconds from the client's end to the server's
_FIRST_PORT = 21_000
# Flags of a DSS option with a mapping -> the bit where its checksum begins: RFC 8684 §3.3.
_CHECKSUM_PLACES = {0x05: 144, 0x07: 176, 0x0D: 176, 0x0F: 208}


def run_cells(cells: Sequence[Cell], size: int = SIZE, jobs: int = 1) -> Iterator[Outcome]:
    """Each as it ends, so many side by side. MachineError where the kernel has no MPTCP."""
    node.check()
    ports = itertools.count(_FIRST_PORT, 2)  # and each cell's DOOR behind its own
    idle: queue.SimpleQueue[_Place] = queue.SimpleQueue()
    with ThreadPoolExecutor(jobs) as pool, ExitStack() as places:
        for _ in range(jobs):
            idle.put(places.enter_context(_Place()))

        def run(cell: Cell, port: int) -> Outcome:
            place = idle.get()
            try:
                return place.run(cell, port, size)
            finally:
                idle.put(place)

        try:
            for done in as_completed([pool.submit(run, cell, next(ports)) for cell in cells]):
                yield done.result()
        finally:
            pool.shutdown(cancel_futures=True)


class _Place:
    """A lab, and after a failure in it the next."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._lab: Lab | None = None

    def __enter__(self) -> _Place:
        return self

    def __exit__(self, *problem: object) -> None:
        self._stack.close()

    def run(self, cell: Cell, port: int, size: int) -> Outcome:
        if self._lab is None:
            self._lab = self._stack.enter_context(Lab(network.plan()))
        outcome = run_cell(self._lab, cell, port, size)
        if not outcome.passed:
            self._lab = None
            self._stack.close()
        return outcome


def run_cell(lab: Lab, cell: Cell, port: int, size: int) -> Outcome:
    began = time.monotonic()
    scenario = SCENARIOS[cell.scenario]
    expected = scenario.expect(cell)
    subflows = expected.subflows if isinstance(expected.subflows, int) else expected.subflows[0]
    task = Task(
        cell.family,
        port,
        size,
        subflows,
        cell.checksum,
        cell.cookies,
        _with_door(scenario.client(cell), port + 1),
        _with_door(scenario.server(cell), port + 1),
    )
    if scenario.midway is not None:
        task = replace(task, pause=size // 2, pauses=_who_pauses(cell, scenario))
    stage = _Stage(lab, cell, task)
    try:
        ends = stage.play()
    except Unsupported as problem:
        return Outcome(cell, unsupported=str(problem), seconds=time.monotonic() - began)
    except RunFailed as problem:
        return Outcome(cell, differences=(str(problem),), seconds=time.monotonic() - began)
    finally:
        stage.close()
    found = differences(cell, expected, ends, size, stage.names)
    seconds = ends["client"].seconds
    goodput = ends["client"].received * 8 / seconds if seconds else 0.0
    return Outcome(cell, ends, tuple(found), seconds=time.monotonic() - began, goodput=goodput)


def _who_pauses(cell: Cell, scenario: Scenario) -> str:
    """A Linux end, the one that acts if it can be. Our server never does."""
    sides = sorted(SIDES, key=lambda side: side != scenario.actor)
    return next((side for side in sides if cell.stack(side) == "linux"), "client")


def _with_door(settings: Settings, port: int) -> Settings:
    return replace(settings, endpoints=tuple(one.replace(DOOR, str(port)) for one in settings.endpoints))


class _Stage:
    """One cell in its lab. See scenarios.Stage for what scenarios may do with it."""

    def __init__(self, lab: Lab, cell: Cell, task: Task) -> None:
        self.lab, self.cell, self.task = lab, cell, task
        self.pids = {side: lab.pid(side) for side in SIDES}
        self.peers: dict[str, Peer] = {}
        self.names: frozenset[str] = frozenset()
        self._before: dict[str, dict[str, int]] = {}
        self._undo: list[tuple[str, str]] = []

    def play(self) -> dict[str, End]:
        scenario = SCENARIOS[self.cell.scenario]
        midway = scenario.midway
        for side in SIDES:
            words = node.script(self._sysctls(side), self._endpoints(side), self._limits(side))
            self.shell(side, f"{node.FORGET_PEERS}\n{words}")
        if scenario.before is not None:
            scenario.before(self)
        self._before = {side: node.counters(self.pids[side]) for side in SIDES}
        self.names = frozenset(self._before["server"]) - {"MPCurrEstab"}
        arrived = node.bytes_in(self.pids["server"])
        for side in ("server", "client"):
            self.peers[side] = Peer(self.lab, side, self.cell.stack(side), self.task)
            if side == "server":
                self.peers[side].wait_ready()
        if midway is not None:
            self._wait_midway(arrived)
            midway(self)
            self.peers[self.task.pauses].tell("go")
        ends = {"client": self.peers["client"].account()}
        if not ends["client"].verdict:
            self.peers["server"].interrupt()  # nobody will come
        ends["server"] = self.peers["server"].account(_CLOSED_WITHIN, lambda: self._settled("client"))
        return {side: self._with_counters(side, end) for side, end in ends.items()}

    def _sysctls(self, side: str) -> dict[str, int]:
        cell = self.cell
        return {
            "net.mptcp.checksum_enabled": int(cell.checksum),
            "net.ipv4.tcp_syncookies": 2 if cell.cookies and side == "server" else 0,
            "net.mptcp.allow_join_initial_addr_port": int(not self._settings(side).deny_join_initial),
            "net.ipv4.tcp_fastopen": 3 if self._settings(side).fast_open else 1,
        }

    def _settings(self, side: str) -> Settings:
        return self.task.settings(side)

    def _endpoints(self, side: str) -> tuple[str, ...]:
        return self._settings(side).endpoints if self.cell.stack(side) == "linux" else ()

    def _limits(self, side: str) -> str:
        return self._settings(side).limits

    def _wait_midway(self, arrived: int) -> None:
        if self.cell.stack(self.task.pauses) == "linux":
            self.peers[self.task.pauses].wait_midway()
            return
        deadline = time.monotonic() + PATIENCE  # our client: by what the server's cables have carried
        while node.bytes_in(self.pids["server"]) - arrived < self.task.pause:
            if time.monotonic() > deadline or self.peers["client"].process.poll() is not None:
                raise RunFailed("half of the bytes never arrived")
            time.sleep(0.002)

    def _with_counters(self, side: str, end: End) -> End:
        return end if end.stack == "ours" else replace(end, counters=self._settled(side))

    def _settled(self, side: str) -> dict[str, int]:
        """What the kernel there has counted, once it has no connection of this cell any more."""
        deadline = time.monotonic() + _SETTLED_WITHIN
        while True:
            now = node.since(self._before[side], node.counters(self.pids[side]))
            if not now.get("MPCurrEstab") or time.monotonic() > deadline:
                return now
            time.sleep(0.005)

    def shell(self, side: str, script: str) -> None:
        done = self.lab.run(side, ["sh", "-ec", script])
        if done.returncode:
            raise MachineError(f"{side} of the lab: {done.stderr.strip()} in\n{script}")

    # ── what scenarios do half-way ──

    def path_manager(self, side: str, words: str) -> None:
        if self.cell.stack(side) == "linux":
            self.shell(side, f"ip mptcp {words}")
        else:
            self.peers[side].tell(words)

    def unplug(self, cable: int) -> None:
        """Frames go to a hardware address that nobody has."""
        for side, far in (("client", "server"), ("server", "client")):
            for nobody in (True, False):
                mac = "02:07:00:00:ff:ff" if nobody else network.mac(far, cable)
                lines = [
                    f"ip neigh replace {network.address(far, cable, family)} lladdr {mac} "
                    f"dev {network.interface(side, cable)} nud permanent"
                    for family in (4, 6)
                ]
                if nobody:
                    self.shell(side, "\n".join(lines))
                else:
                    self._undo.append((side, "\n".join(lines)))

    def break_checksum(self, side: str, cable: int = 0) -> None:
        """The option's own; the TCP checksum follows by nft's hand. A frame that holds a whole block has the
        first copy of its mapping, which is the one that counts."""
        port = f"tcp {'dport' if side == 'server' else 'sport'} {self.task.port}"
        block = self.task.client.block
        which = f"quota over {self.task.size // 2} bytes numgen inc mod 4294967295 == 0"
        if cable:
            which = f"iifname {network.interface(side, cable)}"
        mapped = (
            f"meta length > {block or 1200} tcp option @30,24,8 {{ {', '.join(map(str, _CHECKSUM_PLACES))} }}"
        )
        rules = [
            "add table inet oracle",
            "add chain inet oracle bad",
            "add chain inet oracle first { type filter hook prerouting priority -300; }",
            f"add rule inet oracle first {port} {mapped} {which} jump bad",
            *(
                f"add rule inet oracle bad tcp option @30,24,8 {flags} tcp option @30,{place},16 set 0x4711"
                for flags, place in _CHECKSUM_PLACES.items()
            ),
        ]
        self.shell(side, "nft '" + "; ".join(rules) + "'")
        self._undo.append((side, "nft delete table inet oracle"))

    def abort(self, side: str) -> None:
        """Before the other end goes on: it could be through otherwise."""
        if self.cell.stack(side) == "ours":
            self.peers[side].interrupt()
            self.peers[side].wait_over()
        elif side == self.task.pauses:
            self.peers[side].tell("abort")

    def close(self) -> None:
        for peer in self.peers.values():
            peer.close()
        for side, script in self._undo:
            self.shell(side, script)
