"""Numbers of `testbed client` and `testbed server` outside their range: one error, before any packet."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.drive import ClientArguments, ServerArguments
from testbed.errors import UserError

HUGE: list[Any] = [10**10, 10**30, 1e300, float("inf"), float("nan"), -1]


@pytest.mark.parametrize("value", HUGE)
@pytest.mark.parametrize(
    "name",
    ["receive_buffer", "send_buffer", "interval", "time", "timeout", "syn_retries", "draft_version", "port"],
)
def test_a_number_out_of_its_range_names_the_option(name: str, value: Any) -> None:
    option = "port" if name == "port" else f"--{name.replace('_', '-')}"
    given = {"address": "127.0.0.1", name: value}
    if name.endswith("buffer") and value != value:
        pytest.skip("a size is read as a whole number")
    with pytest.raises(UserError, match=f"^{option} "):
        ClientArguments(**given)
    if name not in ("time", "timeout", "syn_retries"):
        with pytest.raises(UserError, match=f"^{option} "):
            ServerArguments(**{name: value})
