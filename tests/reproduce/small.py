"""A reproduction of two slides that takes seconds: the simulator alone, few connections."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from testbed.reproduce import FIGURES
from testbed.reproduce.needs import Slide
from testbed.reproduce.report import write
from testbed.reproduce.run import run_steps
from testbed.reproduce.steps import steps_of

CONNECTIONS = {"sim": 12}
FEW = ("vary.workload.request=[300B]", "vary.client.profile=[v0, v1]", "vary.paths.*.loss.up=[0, 30]")


def small(name: str) -> Slide:
    """The slide of that name with its campaigns cut down to the simulator and few points."""
    slide = FIGURES[name]
    kept = [one for one in slide.campaigns if one.name in ("ladders", "fallback")]
    cut = [
        one
        if one.name == "ladders"
        else replace(one, nets=("sim",), connections=CONNECTIONS, sets=FEW, samples=6)
        for one in kept
    ]
    return replace(slide, campaigns=tuple(cut), measurements=())


def small_page(directory: Path) -> Path:
    slides = [small("v0_fallback"), small("reliable_capable")]
    steps = steps_of(slides, quick=False)
    done = run_steps(steps, directory, jobs=2, fresh=False, watch=lambda status: None)
    assert done.failures == []
    return write(slides, steps, directory, done, quick=False)
