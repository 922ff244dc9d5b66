"""Closed forms: what the arithmetic says that a measured rate must be.

Knows probabilities and nothing of packets, so that a figure or a test can lay it against a
measurement made by code that it shares nothing with.
"""

from testbed.model.fallback import Prediction, predict
from testbed.model.fast_open import predict_fast_open, predict_linux_fast_open

__all__ = ["Prediction", "predict", "predict_fast_open", "predict_linux_fast_open"]
