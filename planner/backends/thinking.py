"""Hold a sample to its thinking budget: when the thought has had its tokens, the closing tag is put in.

A thought begins with the opening tag, at the end of the prompt or at the start of the text, and ends with the
closing tag. Where the budget is used up first, the tokens of the closing tag are forced, and the model goes
on from there to its answer. What it says after that, and the limit on all tokens, are left to the decoding.

References
----------
Muennighoff et al. (2025), "s1: Simple test-time scaling", arXiv:2501.19393, section 3 (budget forcing); only
the upper end is enforced, a thought is never made longer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from difficulty.errors import InvalidInputError

# Tokens within which a text that thinks has shown its opening tag.
_OPENS_WITHIN = 12


class Thought:
    """Watches one sample.

    Parameters
    ----------
    budget : int
        Most tokens between the tags, at least 0.
    tags : tuple of str
        Opening and closing tag.
    closing : sequence of int
        Tokens of the closing tag, at least one.
    open_already : bool
        Whether the prompt ends with the opening tag.
    decode : callable
        Text of tokens, special ones included.

    Raises
    ------
    InvalidInputError
        When the budget is negative or the closing tag has no tokens.

    Examples
    --------
    >>> thought = Thought(
    ...     budget=2, tags=("<", ">"), closing=[9], open_already=True, decode=lambda x: "a" * len(x)
    ... )
    >>> [thought.next_token(tokens) for tokens in ([], [1], [1, 1], [1, 1, 9])]
    [None, None, 9, None]
    """

    __slots__ = ("_begin", "_budget", "_closing", "_decode", "_done", "_forced", "_tags", "_window")

    def __init__(
        self,
        *,
        budget: int,
        tags: tuple[str, str],
        closing: Sequence[int],
        open_already: bool,
        decode: Callable[[Sequence[int]], str],
    ) -> None:
        if budget < 0 or not closing:
            raise InvalidInputError(
                f"a thinking budget must be at least 0 and have a closing tag, got {budget}"
            )
        self._budget, self._tags, self._closing, self._decode = budget, tags, tuple(closing), decode
        self._begin = 0 if open_already else None
        self._forced: deque[int] = deque()
        self._done = False
        # A token is at least one byte of text, so this many tokens hold a tag that has just ended.
        self._window = len(tags[1].encode()) + 4

    def next_token(self, tokens: Sequence[int]) -> int | None:
        """Return the token that must follow `tokens`, None where the model may choose; call it once each."""
        if self._forced:
            token = self._forced.popleft()
            self._done = not self._forced
            return token
        if self._done:
            return None
        if self._begin is None:
            if self._tags[0] in self._decode(tokens):
                self._begin = len(tokens)
            elif len(tokens) >= _OPENS_WITHIN:
                self._done = True
            if self._begin is None:
                return None
        thought = tokens[self._begin :]
        if thought and self._tags[1] in self._decode(thought[-self._window :]):
            self._done = True
            return None
        if len(thought) < self._budget:
            return None
        self._forced.extend(self._closing)
        return self.next_token(tokens)
