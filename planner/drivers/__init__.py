"""Drivers: they run strategies against backends and verifiers, and keep the books.

`drive` sends one batch per round for all prompts, or works on each prompt as replies arrive.
"""

from planner.drivers.drive import drive
from planner.drivers.ledger import Ledger
from planner.drivers.limits import Limits
from planner.drivers.run_log import RunLog
from planner.drivers.session import Progress

__all__ = ["Ledger", "Limits", "Progress", "RunLog", "drive"]
