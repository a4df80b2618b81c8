"""Strategies: how an allocation is spent, one file each.

`strategy_of` turns the name and parameters of an allocation into a strategy; `Strategy.flow` begins its work
on a prompt.
"""

from planner.strategies.flow import Arrival, Ask, Drawn, Failure, Flow, Scored
from planner.strategies.registry import Strategy, strategy_of
from planner.strategies.stop import AllAtOnce, DrawState, FixedWaves, StopRule
from planner.strategies.task import Task

__all__ = [
    "AllAtOnce",
    "Arrival",
    "Ask",
    "DrawState",
    "Drawn",
    "Failure",
    "FixedWaves",
    "Flow",
    "Scored",
    "StopRule",
    "Strategy",
    "Task",
    "strategy_of",
]
