"""Answers in open words: texts that say the same are one answer, so that they can vote.

Texts are taken one after another: each joins the first group whose first text it is like, or begins one of
its own, and the key of a group is its first text. So live samples and recorded ones are grouped alike. What
"like" means is a port (`planner.answers.likeness`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, final

from difficulty.prompt import Prompt
from planner.answers.likeness import LexicalLikeness, Likeness
from planner.answers.rule import AnswerRule
from planner.answers.text import canonical_answer

__all__ = ["Clusters", "SemanticAnswer", "cluster_keys"]

# Groups of one prompt; further texts that are like none of them stand alone.
_MOST: Final = 512


@dataclass(kw_only=True, slots=True)
class Clusters:
    """The groups of texts of one prompt.

    Parameters
    ----------
    likeness : Likeness
        Says which texts say the same.

    Examples
    --------
    >>> groups = Clusters()
    >>> [groups.key(text) for text in ("Paris", "It is Paris.", "Lyon", "paris")]
    ['Paris', 'Paris', 'Lyon', 'Paris']
    """

    likeness: Likeness = field(default_factory=LexicalLikeness)
    _firsts: list[str] = field(default_factory=list)
    _known: dict[str, str] = field(default_factory=dict)

    def key(self, text: str) -> str:
        """Return the first text of the group that a text belongs to; equal texts always share one."""
        known = self._known.get(text)
        if known is None:
            known = next((one for one in self._firsts if self.likeness.alike(one, text)), text)
            if known is text and len(self._firsts) < _MOST:
                self._firsts.append(text)
            self._known[text] = known
        return known


def cluster_keys(texts: Iterable[str | None], *, likeness: Likeness | None = None) -> list[str | None]:
    """Return the key of each text of one prompt, in order; None stays None.

    Parameters
    ----------
    texts : iterable of str or None
        Answers of one prompt, in the order in which they were drawn.
    likeness : Likeness, optional
        By default by words.

    Examples
    --------
    >>> cluster_keys(["Yes.", None, "yes, it does", "No"])
    ['Yes.', None, 'Yes.', 'No']
    """
    groups = Clusters(likeness=likeness or LexicalLikeness())
    return [None if text is None else groups.key(text) for text in texts]


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class SemanticAnswer(AnswerRule):
    """The group of a text among those of its prompt; runs take a fresh one for each prompt.

    Parameters
    ----------
    likeness : Likeness
        Says which texts say the same.
    clusters : Clusters, optional
        The groups of the prompt; without them a text is its own answer, as a reference is.

    Examples
    --------
    >>> rule = SemanticAnswer().fresh()
    >>> rule.extract("The capital is Paris.", "stop"), rule.extract("<think>hm</think>Paris", "stop")
    ('The capital is Paris', 'The capital is Paris')
    """

    likeness: Likeness = field(default_factory=LexicalLikeness)
    clusters: Clusters | None = None

    def fresh(self, prompt: Prompt | None = None) -> SemanticAnswer:
        """Return the rule for one prompt, which has no groups yet."""
        return SemanticAnswer(likeness=self.likeness, clusters=Clusters(likeness=self.likeness))

    def find(self, text: str) -> str | None:
        """Return the text itself."""
        return text if text.strip() else None

    def canonicalise(self, answer: str) -> str | None:
        """Return the first text of its group."""
        plain = canonical_answer(answer)
        return plain if plain is None or self.clusters is None else self.clusters.key(plain)

    def equal(self, answer: str | None, reference: str | None) -> bool:
        """Say whether two texts say the same."""
        if answer is None or reference is None:
            return False
        return answer == reference or self.likeness.alike(answer, reference)
