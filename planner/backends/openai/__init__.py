"""Any OpenAI-compatible server: what is sent, how replies are read, what its refusals teach, what it costs.

`OpenAIBackend` is all that others need. Imports run one way: `backend` over the other files of this folder.
"""

from planner.backends.openai.backend import OpenAIBackend

__all__ = ["OpenAIBackend"]
