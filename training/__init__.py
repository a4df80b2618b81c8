"""The learning room: train policies offline from sample logs, evaluate them, report."""

from training.evaluate import evaluate
from training.report.report import Report
from training.strategies.compare import compare_strategies
from training.strategies.report import StrategyComparison
from training.train import train

__all__ = ["Report", "StrategyComparison", "compare_strategies", "evaluate", "train"]
