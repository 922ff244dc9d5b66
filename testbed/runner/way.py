"""Which way a campaign runs: what was asked for, else what the experiment says, else a lab if one can be had.

Decides the default of `--net` and the words for each way, which go into the evidence. A lab needs root or a
user namespace; where neither can be had the advice is the simulator, never a silent change.
"""

from __future__ import annotations

from dataclasses import dataclass

from testbed.errors import MachineError, UserError
from testbed.runner.experiment import Campaign

SIM = "simulator, virtual time"
LAB = {
    "root": "Mininet lab, userspace wires, real time",
    "user": "Mininet lab in a user namespace, userspace wires, real time",
}


@dataclass(frozen=True, slots=True)
class Way:
    """`net` for the runner, `words` for the evidence, `notice` for the user ('' where there is none)."""

    net: str
    words: str
    notice: str = ""


def choose_way(campaign: Campaign, net: str | None) -> Way:
    """MachineError where a lab is wanted and cannot be had."""
    net = net or campaign.experiment.net or "mininet"
    if net == "sim":
        return Way(net, SIM)
    from testbed.net import check

    try:
        way = check()
        if campaign.experiment.links == "kernel":
            _refuse_kernel_links()
    except MachineError as error:
        raise MachineError(f"{error}\nor run it in the simulator: --net sim") from None
    notice = "not root: the lab runs in a user namespace" if way == "user" else ""
    return Way(net, LAB[way], notice)


def _refuse_kernel_links() -> None:
    """Before anything starts: what stands in the way, this machine or this testbed."""
    from testbed.net import has_netem

    if not has_netem():
        raise MachineError(
            "links: kernel: this kernel has no netem, which is what delays and loses packets there: "
            "sudo modprobe sch_netem, or boot a distribution's kernel; --links userspace needs neither"
        )
    raise UserError(
        "links: kernel: this kernel has netem, but shaping with it is not built yet; userspace wires "
        "(--links userspace) mean the same"
    )
