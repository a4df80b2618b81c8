"""The learning room: train policies offline from sample logs, evaluate them, report."""

from training.evaluate import evaluate
from training.report import Report
from training.train import train

__all__ = ["Report", "evaluate", "train"]
