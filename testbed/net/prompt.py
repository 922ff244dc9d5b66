"""Mininet's command line on a lab, and the few words before it.

Decides what Mininet decides otherwise. Names of nodes in a command become addresses, also before :PORT, but
not the word after `testbed`, or `client testbed client ADDRESS` would be no command. `pingall` knows the
routes. What is typed meanwhile goes to the command that runs, but from a script each command gets an empty
standard input and leaves the next lines alone. A node's shell, with all that was set in it, is not ended by
`exit`. Knows nothing of how the lab is made.
"""

from __future__ import annotations

import os
import re
import select
import shlex
from collections.abc import Callable
from typing import Any

from mininet.cli import CLI
from mininet.log import error, output
from mininet.net import Mininet
from mininet.util import quietRun

from testbed.net.pings import ping_all
from testbed.plan import NetPlan, draw
from testbed.terminal import plain

# In a subshell `exit` ends that one only, as always.
_KEEP_SHELL = (
    'exit() { [ "$BASH_SUBSHELL" -gt 0 ] && builtin exit "$@";'
    " echo 'this is the shell of a node; exit alone, without a node, leaves the lab' >&2; return 1; };"
    " set -o ignoreeof"
)
_TESTBED = re.compile(r"(^|\W)testbed$")  # as a command: also (testbed, $(testbed or a path


class Prompt(CLI):  # type: ignore[misc]
    """`NODE COMMAND...` runs a command in a node; the rest is Mininet's. `trouble`: what the user is to hear
    of the lab's own programs before the next prompt, once."""

    def __init__(self, net: Mininet, plan: NetPlan, trouble: Callable[[], str | None]) -> None:
        self._trouble: Callable[[], str | None] | None = trouble
        self._plan = plan
        super().__init__(net)

    def default(self, line: str) -> None:
        first, rest, line = self.parseline(line)
        if first not in self.mn:
            error(
                f"*** Unknown command: {line}; there are the nodes {' '.join(self.mn)} and what help lists\n"
            )
        elif not rest:
            error(f"*** Please enter a command for node: {first} <cmd>\n")
        else:
            words = rest.split(" ")
            node = self.mn[first]
            node.sendCmd(self._fed(" ".join(map(self._word, ["", *words], words))))
            self.waitForNode(node)

    def _word(self, before: str, word: str) -> str:
        name, colon, port = word.partition(":")
        if name not in self.mn or _TESTBED.search(before) or (colon and not port.isdecimal()):
            return word
        return (self.mn[name].IP() or name) + colon + port

    def _fed(self, command: str) -> str:
        """The node's shell reads its commands where theirs would read: in a script they read nothing."""
        if self.isatty():
            return command
        background = '; printf "\\001%d\\012" $!' if command.rstrip().endswith("&") else ""  # as Mininet does
        return f"eval {shlex.quote(command)} < /dev/null{background}"

    def waitForNode(self, node: Any) -> None:
        """Until the command has ended, or the node's shell with it (`exec`, `kill`)."""
        typing = self.isatty()
        if typing:
            quietRun("stty -icanon min 1")
        poller = select.poll()
        shell = os.pidfd_open(node.shell.pid)
        try:
            for descriptor in (node.stdout.fileno(), shell, *([self.stdin.fileno()] if typing else [])):
                poller.register(descriptor, select.POLLIN)
            while node.waiting:
                try:
                    ready = {descriptor for descriptor, _ in poller.poll()}
                    if typing and self.stdin.fileno() in ready:
                        os.write(node.stdin.fileno(), os.read(self.stdin.fileno(), 1024))
                    if node.stdout.fileno() in ready:
                        output(node.monitor())
                    elif shell in ready:
                        node.shell.wait()
                        node.waiting = False
                        error(f"*** the shell of {node.name} has ended; its next command has a new one\n")
                except KeyboardInterrupt:
                    node.sendInt()
        finally:
            os.close(shell)

    def do_pingall(self, line: str) -> None:
        """Ping between all nodes that a route joins; the others are named. An argument: seconds to wait."""
        ping_all(self.mn, self._plan, _seconds(line), output)

    def do_pingallfull(self, line: str) -> None:
        """The same with round-trip times."""
        ping_all(self.mn, self._plan, _seconds(line), output, times=True)

    def postcmd(self, stop: bool, line: str) -> bool:
        if self._trouble is not None and (text := self._trouble()):
            error(f"*** {text}\n")
            self._trouble = None
        return stop


def _seconds(line: str) -> str:
    """The first word, where it is a number: it becomes part of a command."""
    word = line.split()[0] if line.split() else ""
    return word if re.fullmatch(r"[0-9]+(\.[0-9]+)?", word) else ""


def open_prompt(net: Mininet, plan: NetPlan, trouble: Callable[[], str | None]) -> None:
    """Until the user leaves it."""
    print(plain(draw(plan)))
    path = plan.paths[0]
    print(
        "Commands run in the node that they begin with; help lists Mininet's own. Try:\n"
        f"  {path.server} testbed server --once &\n"
        f"  {path.client} testbed client {path.server_address}:20080 --send 1MB\n",
        flush=True,
    )
    for node in net.hosts:
        node.opening = _KEEP_SHELL
    Prompt(net, plan, trouble)
