"""Drivers: they run strategies against backends and verifiers, and keep the books.

`run_lockstep` sends one batch per round for all prompts; `run_concurrently` works on each prompt as replies
arrive. Both take the same arguments and keep the same caps.
"""

from planner.drivers.asynchronous import run_concurrently
from planner.drivers.ledger import Ledger
from planner.drivers.limits import Limits
from planner.drivers.lockstep import run_lockstep
from planner.drivers.run_log import RunLog
from planner.drivers.session import Progress

__all__ = ["Ledger", "Limits", "Progress", "RunLog", "run_concurrently", "run_lockstep"]
