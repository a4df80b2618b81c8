"""Whether a thinking budget was obeyed: reasoning tokens are counted, and a server is not believed.

They are those that the engine states; where it states none, the share of the thinking in all that was
written. It assumes that a budget may be exceeded by a closing mark. Nothing is done about it here: what was
generated is charged, and the outcome says it.
"""

from __future__ import annotations

from typing import Final

from planner.answers.thought import without_thought
from planner.ports.ports import Completion

IGNORED: Final = "ThinkingBudgetIgnored"
"""Kind of the entry in an outcome's errors."""

# Tokens of closing marks, and how far a share of letters may be from a share of tokens.
_SLACK: Final = 16
_ESTIMATED: Final = 1.5


def thought_tokens(completion: Completion) -> tuple[int, bool]:
    """Return how many tokens of a completion were thinking, and whether the engine has stated it.

    Examples
    --------
    >>> one = Completion(
    ...     text="42", reasoning="6*7 is 42", prompt_tokens=5, output_tokens=11, finish_reason="stop"
    ... )
    >>> thought_tokens(one)
    (9, False)
    """
    if completion.reasoning_tokens:
        return completion.reasoning_tokens, True
    apart, text = len(completion.reasoning or ""), completion.text
    inside = len(text) - len(without_thought(text)) if "<" in text or "[" in text else 0
    letters = apart + len(text)
    return (round(completion.output_tokens * (apart + inside) / letters) if letters else 0), False


def is_exceeded(tokens: int, budget: int, *, stated: bool = True) -> bool:
    """Return whether a count is more than a budget explains.

    Examples
    --------
    >>> is_exceeded(80, 64), is_exceeded(81, 64), is_exceeded(100, 64, stated=False)
    (False, True, False)
    """
    return tokens > (budget if stated else _ESTIMATED * budget) + _SLACK


def ignored_budget(completion: Completion, budget: int | None) -> str | None:
    """Return in words that a budget was ignored, None where it was obeyed, or nobody knows better."""
    if budget is None:
        return None
    tokens, stated = thought_tokens(completion)
    if not is_exceeded(tokens, budget, stated=stated):
        return None
    about = "" if stated else "about "
    return f"{about}{tokens} reasoning tokens where at most {budget} were allowed; they are charged"
