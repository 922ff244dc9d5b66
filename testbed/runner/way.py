"""Which way a campaign runs: what was asked for, else what the experiment says, else a lab if one can be had.

Decides the default of `--net` and the words for each way, which go into the evidence. A lab needs root or a
user namespace; where neither can be had the advice is the simulator, never a silent change.
"""

from __future__ import annotations

from dataclasses import dataclass

from testbed.errors import MachineError, UserError
from testbed.linux import node
from testbed.linux.settings import is_kernel
from testbed.mptcp.config import ClientConfig, ServerConfig
from testbed.runner.experiment import Campaign
from testbed.runner.spec import build

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
    linux = _key_of_linux(campaign)
    if net == "sim":
        if linux:
            raise UserError(
                f"{linux}: kernel: the simulator has no Linux in it; run it in a lab: --net mininet, or "
                f"leave it out here: --set {linux}=v1"
            )
        return Way(net, SIM)
    from testbed.net import check

    if linux:
        node.check()
    try:
        way = check()
        if campaign.experiment.links == "kernel":
            _refuse_kernel_links()
    except MachineError as error:
        known = linux or "--net sim" in str(error)
        advice = "" if known else "\nor run it in the simulator: --net sim"
        raise MachineError(f"{error}{advice}") from None
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


def _key_of_linux(campaign: Campaign) -> str | None:
    """The key that asks for Linux's own MPTCP in some cell."""
    for plan in campaign.cells:
        for key, config in (
            ("client.profile", build(ClientConfig, plan.cell.client)),
            ("server.profiles", build(ServerConfig, plan.cell.server)),
        ):
            if is_kernel(config):
                return key
    return None
