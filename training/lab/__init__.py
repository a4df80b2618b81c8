"""The lab model: a very small language model and a reward model that make test-time compute worth planning.

It assumes the shipped weights beside this file, or a folder that ``python -m training.lab.train`` wrote.
Drawing samples and scoring steps is left to the backends and verifiers of `planner`; this room makes the
problems and trains the models.
"""

from __future__ import annotations

from pathlib import Path

LANGUAGE_MODEL = Path(__file__).parent / "weights" / "language_model"
"""Folder of the shipped language model (`transformers.AutoModelForCausalLM`, `AutoTokenizer`, vLLM)."""

REWARD_MODEL = Path(__file__).parent / "weights" / "reward_model"
"""Folder of the shipped step-level reward model (`transformers.AutoModelForTokenClassification`)."""

DIRECT_TEMPLATE = "{prompt} Answer only."
"""Prompt template of the direct style: the answer at once."""

STEPS_TEMPLATE = "{prompt} Step by step."
"""Prompt template of the step-by-step style: one equation per line, then the answer."""

REVISION_REQUEST = "Check and answer again."
"""User message that asks for a revision of the attempt before it (chat)."""

REVISION_SEPARATOR = "\n\n"
"""What stands between attempts where they are one text that the model continues."""
