"""The lab itself, inside its namespaces: builds the network, runs the programs in it, gathers their reports.

Decides the order of things: nodes and links, settings, wires, servers, clients; then the ends in reverse.
The clients' end is the run's end, a flood's too; what else competes with them ends after it. What goes wrong
travels to the runner as a Result. Namespaces and their end are launch.py's. Knows nothing of protocols and
of records beyond their file format.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mininet.net import Mininet

from testbed.errors import TestbedError
from testbed.interpreter import bare_script, search_path
from testbed.net import mininet_net
from testbed.net.configure import works
from testbed.net.job import NODES, Job, Result, write
from testbed.net.nodes import Nodes
from testbed.net.programs import Program, wait_done
from testbed.net.prompt import open_prompt
from testbed.plan import NetPlan
from testbed.workloads import HostSpec, RunOutcome

_STAND_IN = Path(__file__).with_name("mnexec.py")


def main(directory: str, mode: str) -> int:
    folder = Path(directory)
    try:
        job = Job.read(folder)
        _set_path()
        lab = Lab(job, folder)
        if mode == "run":
            result = Result(outcome=lab.run())
        else:
            lab.shell() if mode == "shell" else lab.hold()
            result = Result(outcome=lab.outcome)
    except TestbedError as error:
        result = Result(status=error.status, message=str(error))
    result.write(folder)
    return result.status


class Lab:
    """A running network. `outcome` fills as programs end."""

    def __init__(self, job: Job, folder: Path) -> None:
        self.job, self.folder = job, folder
        self.outcome = RunOutcome()
        cpus = sorted(os.sched_getaffinity(0))
        here, there = cpus[job.cpu % len(cpus)], cpus[(job.cpu + 1) % len(cpus)]
        self.nodes = Nodes({node.name: works(job.plan, node.name, here) for node in job.plan.nodes})
        self.net: Mininet = mininet_net.build(job.plan, self.nodes.pids, wires_of(job.plan, job.capture))
        self.wires = self._start_wires()  # side by side with the nodes' settings
        steered = all(self.nodes.do("settle").values())
        for wires in self._wires():
            wires.wait_ready()
        mininet_net.release(self.net)
        if not steered:
            self._keep_order(here, there)
        write(folder / NODES, json.dumps(self.nodes.pids).encode())

    def run(self) -> RunOutcome:
        idle, total = _cpu_times()
        origin = time.monotonic_ns()
        for wires in self._wires():
            wires.tell(f"origin {origin}")
        sinks, servers = self._start_hosts("server", origin)
        rivals, clients = self._start_hosts("client", origin)
        late = wait_done(clients, [*servers, *rivals, *sinks, *self._wires()], self.job.timeout)
        if late:
            self._invalid(f"{late[0].name} had not finished after {self.job.timeout:g} s")
        floods = {spec.name for spec in self.job.hosts if spec.flood is not None}
        for program in (*(one for one in rivals if one.name in floods), *late, *servers):
            program.ask_to_end()  # a client that is done goes on answering what servers still ask
        for program in (*servers, *clients, *rivals, *sinks):
            program.end()
        for program in (*clients, *servers):
            report = self._gather(program)
            self.outcome.rows.extend(report["rows"])
            self.outcome.elapsed_ns = max(self.outcome.elapsed_ns, report["elapsed_ns"])
        for program in servers:
            if held := program.report().get("held"):  # a host on Linux's own stack cannot tell
                self.outcome.held[program.name] = held
        for program in (*rivals, *sinks):
            self.outcome.background.extend(self._gather(program)["rows"])
        self._end_wires()
        idle_now, total_now = _cpu_times()
        self.outcome.fidelity["machine_cpu_share"] = 1 - (idle_now - idle) / max(total_now - total, 1)
        return self.outcome

    def shell(self) -> None:
        """Mininet's command line on this network."""
        open_prompt(self.net, self.job.plan, self._wires_ended)
        for program in self._wires():
            program.end()

    def _wires_ended(self) -> str | None:
        status = self.wires.process.poll() if self.wires else None
        if self.wires is None or status is None:
            return None
        return f"{self.wires.failure(status)}: no packet gets through any more; exit leaves the lab"

    def hold(self) -> None:
        """Keeps the network up until standard input ends."""
        print("ready", flush=True)
        while os.read(0, 4096):
            pass
        self._end_wires()

    def _keep_order(self, here: int, there: int) -> None:
        """For a user namespace: a cable has a queue for each CPU, so whoever sends into it stays on one."""
        for pid in (0, *self.nodes.pids.values()):
            os.sched_setaffinity(pid, {here})
        if self.wires:
            os.sched_setaffinity(self.wires.process.pid, {there})

    def _start_wires(self) -> Program | None:
        ends = mininet_net.taps(self.net)
        if not ends:
            return None
        links = [
            {
                "name": name,
                "a_fd": a,
                "b_fd": b,
                "a_name": self.job.plan.link(name).a.name,
                "b_name": self.job.plan.link(name).b.name,
                "forward": asdict(self.job.plan.link(name).forward),
                "backward": asdict(self.job.plan.link(name).backward),
                "capture": str(self.folder / f"{name}.pcapng") if self.job.capture else None,
            }
            for name, (a, b) in ends.items()
        ]
        spec = {"seed": self.job.seed, "links": links}
        (self.folder / "wires.json").write_text(json.dumps(spec, indent=1))
        inherited = [descriptor for pair in ends.values() for descriptor in pair]
        # A session of its own: Ctrl-C at the prompt is for the command that runs there.
        return Program(
            "wires", "testbed.drive.wires", self.folder, pass_fds=inherited, start_new_session=True
        )

    def _start_hosts(self, role: str, origin: int) -> tuple[list[Program], list[Program]]:
        """All of a role, ready: those in the background, and those that are measured."""
        specs = [spec for spec in self.job.hosts if spec.role == role]
        programs = [self._start_host(spec, origin) for spec in specs]
        for program in programs:
            program.wait_ready()
        found: tuple[list[Program], list[Program]] = [], []
        for spec, program in zip(specs, programs, strict=True):
            found[not spec.background].append(program)
        return found

    def _start_host(self, spec: HostSpec, origin: int) -> Program:
        """`origin`: the moment from which its rows count time."""
        from pydantic import TypeAdapter  # a tenth of a second, and only where there are hosts to be started

        write(self.folder / f"{spec.name}.json", TypeAdapter(HostSpec).dump_json(spec, indent=1))
        words = ["--origin", str(origin), *(["--stay"] if spec.role == "client" else [])]
        start = self.net[spec.name].popen
        return Program(spec.name, "testbed.drive.host", self.folder, *words, start=start)

    def _wires(self) -> list[Program]:
        return [self.wires] if self.wires else []

    def _gather(self, program: Program) -> dict[str, Any]:
        report = program.report()
        self.outcome.counters[program.name] = report["counters"]
        for name, value in report["fidelity"].items():
            self.outcome.fidelity[f"{program.name}_{name.removeprefix('host_')}"] = value
        self._invalid(report.get("invalid"))
        return report

    def _end_wires(self) -> None:
        lost = [item for drops in self.nodes.do("drops").values() for item in drops.items()]
        if lost:
            counts = ", ".join(f"{count} at {name}" for name, count in lost)
            self._invalid(f"the machine itself dropped packets: {counts}")
        if self.wires is None:
            return
        self.wires.end()
        report = self.wires.report()
        self.outcome.links.update(report["links"])
        self.outcome.fidelity.update(report["fidelity"])
        self.outcome.captures.extend(report["captures"])
        self._invalid(report.get("invalid"))
        self.wires = None

    def _invalid(self, why: str | None) -> None:
        if why:
            self.outcome.invalid = f"{self.outcome.invalid}; {why}" if self.outcome.invalid else why


def wires_of(plan: NetPlan, capture: bool) -> list[str]:
    """The links that must be wires: all that shape, and for captures the first link of a path without one."""
    wanted = [link.name for link in plan.links if link.shaped]
    if capture:
        for path in plan.paths:
            if not any(name in wanted for name, _ in path.up):
                wanted.append(path.up[0][0])
    return wanted


def _set_path() -> None:
    """Programs find `testbed` and `mnexec`, whatever the caller's PATH was."""
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), search_path()])
    if shutil.which("mnexec") is None:  # unlike Path.is_file, it passes over folders that may not be read
        place = Path("/run/testbed-mnexec")  # the lab's own /run
        place.mkdir()
        program = place / "mnexec"
        program.write_text(f'#!/bin/sh\nexec {shlex.join(bare_script(_STAND_IN))} "$@"\n')
        program.chmod(0o755)
        os.environ["PATH"] += os.pathsep + str(place)


def _cpu_times() -> tuple[int, int]:
    """The machine's idle and total CPU time so far, in ticks."""
    values: list[int] = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return values[3] + values[4], sum(values)
