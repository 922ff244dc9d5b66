"""HTML from the templates of this room: undefined names are errors, and what is put in is escaped."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def render(template: str, **values: Any) -> str:
    """`template`: a file below testbed/figures/templates."""
    environment = Environment(
        loader=PackageLoader("testbed.figures"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)
