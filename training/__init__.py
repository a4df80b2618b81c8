"""The learning room: train policies offline from sample logs, evaluate them, report."""

from training.train import train

__all__ = ["train"]
