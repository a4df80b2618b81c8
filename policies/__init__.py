"""Decision: what each amount of compute is worth to a prompt, what it costs, and what to buy.

Names stand in the stub beside this file, and are imported on first use, so that planning loads no more of
this room than it needs.
"""

from __future__ import annotations

from difficulty.lazy import on_first_use

__all__, __getattr__, __dir__ = on_first_use(__name__)
