"""Closed forms: what the arithmetic says that a measured rate must be.

The forms know probabilities and nothing of packets, so that a figure or a test can lay them against a
measurement made by code that they share nothing with. When they hold is decided in assumptions.py, from the
parsed network and hosts.
"""

from testbed.model.assumptions import Assumptions, assumptions
from testbed.model.fallback import Prediction, predict
from testbed.model.fast_open import predict_fast_open, predict_linux_fast_open

__all__ = [
    "Assumptions",
    "Prediction",
    "assumptions",
    "predict",
    "predict_fast_open",
    "predict_linux_fast_open",
]
