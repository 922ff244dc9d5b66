"""`testbed topo`: the topologies there are, one as a picture, one as a running lab."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from testbed.cli.complete import topologies

app = typer.Typer(
    help="Topologies: list, show, or a shell in one.", no_args_is_help=True, rich_markup_mode=None
)

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="A topology's name, or a file.", autocompletion=topologies)
]
Parameters = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A parameter of the topology, such as delay=20ms."),
]


AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """The topologies that can be named."""
    from testbed.cli.json_output import print_json
    from testbed.cli.show import table
    from testbed.plan import known_topologies

    if as_json:
        print_json([{"name": name, "what": text} for name, text in known_topologies().items()])
        return
    print(table(["name", "what it is"], [[name, text] for name, text in known_topologies().items()], left=2))


@app.command()
def show(name: Name, sets: Parameters = None, as_json: AsJson = False) -> None:
    """A topology's hosts, addresses, links and paths."""
    from testbed.cli.json_output import network, print_json
    from testbed.plan import draw, load_topology, plan_from

    plan = plan_from(load_topology(name, **_parameters(sets)))
    if as_json:
        print_json(network(plan))
    else:
        print(draw(plan))


@app.command()
def shell(name: Name, sets: Parameters = None) -> None:
    """Mininet's prompt on a running lab, the userspace stack ready in every host."""
    from testbed.net import shell as open_shell
    from testbed.plan import load_topology, plan_from

    open_shell(plan_from(load_topology(name, **_parameters(sets))))


def _parameters(sets: list[str] | None) -> dict[str, Any]:
    from testbed.runner import parse_set

    return dict(parse_set(text) for text in sets or [])
