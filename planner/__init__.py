"""Action: the user's door to planning and running test-time compute.

Names stand in the stub beside this file, and are imported on first use, so that ``import planner`` costs
little more than the interpreter's start.
"""

from __future__ import annotations

from difficulty.lazy import on_first_use

__all__, _found, __dir__ = on_first_use(__name__)


def __getattr__(name: str) -> object:
    if name == "__version__":  # looked up when asked for: reading the metadata takes longer than the import
        from importlib.metadata import version

        return version("ttc-planner")
    return _found(name)
