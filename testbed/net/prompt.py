"""Mininet's command line on a lab, and the few words before it.

Decides one thing that Mininet decides otherwise: names of nodes in a command become addresses, but not the
word after `testbed`, or `client testbed client ADDRESS` would be no command. Knows nothing of how the lab
is made.
"""

from __future__ import annotations

from mininet.cli import CLI
from mininet.log import error
from mininet.net import Mininet

from testbed.plan import NetPlan, draw


class Prompt(CLI):  # type: ignore[misc]
    """`NODE COMMAND...` runs a command in a node; the rest is Mininet's."""

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
            node.sendCmd(" ".join(map(self._word, ["", *words], words)))
            self.waitForNode(node)

    def _word(self, before: str, word: str) -> str:
        if word not in self.mn or before == "testbed":
            return word
        return self.mn[word].IP() or word


def open_prompt(net: Mininet, plan: NetPlan) -> None:
    """Until the user leaves it."""
    print(draw(plan))
    path = plan.paths[0]
    print(
        "Commands run in the node that they begin with; help lists Mininet's own. Try:\n"
        f"  {path.server} testbed server --once &\n"
        f"  {path.client} testbed client {path.server_address}:20080 --send 1MB\n",
        flush=True,
    )
    Prompt(net)
