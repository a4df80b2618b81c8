"""Strategies: how an allocation is spent, one file each.

`strategy_of` turns the name and parameters of an allocation into a strategy, whose flow works on one prompt.
A thinking budget is no strategy of its own: it is a generator with other `thinking_tokens`.
"""

from planner.strategies.flow import Arrival, Ask, Failure, Flow, Sampled, Scored
from planner.strategies.registry import strategy_of
from planner.strategies.task import Strategy, Task

__all__ = [
    "Arrival",
    "Ask",
    "Failure",
    "Flow",
    "Sampled",
    "Scored",
    "Strategy",
    "Task",
    "strategy_of",
]
