"""How each family of process reward models wants steps shown, and at which tokens it gives its scores.

One table; a new family is one more entry. The formats are those of the models' own code; a tokenizer that
does not fit a format is an error here, never a wrong score. Running the models is left to
`planner.verifiers.process_reward`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from difficulty.arguments import check_choice
from difficulty.errors import VerifierError


class EncodedSteps(NamedTuple):
    """Tokens of a question with its steps, and the position at which each step's score is read."""

    tokens: list[int]
    positions: list[int]


@dataclass(frozen=True, kw_only=True, slots=True)
class StepFormat:
    """The convention of one family of process reward models.

    Parameters
    ----------
    layout : {"tag", "pieces", "turns"}
        ``"tag"``: a tag that is one token stands after each step and is read; ``"pieces"``: each step with
        its tag is tokenised by itself and its last token is read; ``"turns"``: each step is a turn of the
        user, and the score is the model's answer to it.
    tag : str
        What stands after each step.
    joint : str
        What stands between two steps, after the tag.
    head : {"labels", "tokens", "value"}
        Two-class logits of which the second is "right"; next-token logits of `good` against `bad`; one
        number, of which the sigmoid is taken.
    good, bad : str
        The answers, for ``"tokens"``.
    chat : bool
        Whether question and steps go through the chat template.
    system : str, optional
        System message.
    gap : str
        What stands between question and first step without a chat template.
    delimiter : str
        What ends a step in a completion that comes unsplit.

    References
    ----------
    Wang et al. (2024), Math-Shepherd, arXiv:2312.08935; Zhang et al. (2025), Qwen2.5-Math-PRM,
    arXiv:2501.07301; Dong et al. (2024), RLHFlow, arXiv:2405.07863; Skywork-o1-Open-PRM, model card (2024).
    """

    layout: Literal["tag", "pieces", "turns"]
    tag: str
    head: Literal["labels", "tokens", "value"]
    joint: str = ""
    good: str = "+"
    bad: str = "-"
    chat: bool = False
    system: str | None = None
    gap: str = " "
    delimiter: str = "\n\n"


STEP_FORMATS: Final[dict[str, StepFormat]] = {
    "qwen2.5-math-prm": StepFormat(
        layout="tag", tag="<extra_0>", head="labels", chat=True,
        system="Please reason step by step, and put your final answer within \\boxed{}.",
    ),
    "skywork-prm": StepFormat(layout="pieces", tag="\n", head="value", gap="\n", delimiter="\n"),
    "rlhflow": StepFormat(layout="turns", tag="", head="tokens", chat=True),
    "math-shepherd": StepFormat(layout="tag", tag=" ки", joint="\n", head="tokens", delimiter="\n"),
    "step-end": StepFormat(layout="pieces", tag="\n", head="labels", chat=True, delimiter="\n"),
}  # fmt: skip
"""Known families; ``step-end`` is a token classification model that is read at the line end of each step."""


def step_format(name: str) -> StepFormat:
    """Return the format of a family.

    Raises
    ------
    InvalidInputError
        When the family is not in the table.

    Examples
    --------
    >>> step_format("qwen2.5-math-prm").tag
    '<extra_0>'
    """
    check_choice("format", name, sorted(STEP_FORMATS))
    return STEP_FORMATS[name]


def encode_steps(tokenizer: Any, form: StepFormat, *, question: str, steps: Sequence[str]) -> EncodedSteps:
    """Return the tokens that the model reads, and where each step's score stands.

    Parameters
    ----------
    tokenizer : tokenizer of transformers
    form : StepFormat
        The model's convention.
    question : str
        Text of the prompt.
    steps : sequence of str
        At least one, none of them blank; white space around a step is dropped, the format brings its own.

    Raises
    ------
    VerifierError
        When there is no step or a blank one, or the tokenizer does not give one position per step.
    """
    bare = [step.strip() for step in steps]
    if not bare or not all(bare):
        raise VerifierError(f"each step needs text; got {list(steps)!r}")
    if form.chat and getattr(tokenizer, "chat_template", None) is None:
        raise VerifierError("this format needs a chat template, and the reward model's tokenizer has none")
    encoded = {"tag": _tagged, "pieces": _in_pieces, "turns": _in_turns}[form.layout](
        tokenizer, form, question, bare
    )
    if len(encoded.positions) != len(bare):
        raise VerifierError(
            f"{len(encoded.positions)} places to read a score for {len(bare)} steps; does a step hold the "
            f"tag {form.tag!r}, or is the format wrong for this model?"
        )
    return encoded


def split_steps(text: str, delimiter: str) -> tuple[str, ...]:
    """Cut a text after each delimiter; blank pieces stay with the step before them.

    Parameters
    ----------
    text : str
        A whole completion.
    delimiter : str
        What ends a step, not empty.

    Returns
    -------
    tuple of str
        At least one step; joined, they are the text.

    Examples
    --------
    >>> split_steps("2*3 = 6\\n\\n\\n\\n1+6 = 7\\n\\n", "\\n\\n")
    ('2*3 = 6\\n\\n\\n\\n', '1+6 = 7\\n\\n')
    """
    *ended, rest = text.split(delimiter)
    pieces = [piece + delimiter for piece in ended] + [rest]
    steps: list[str] = []
    for piece in pieces:
        if steps and (not piece.strip() or not steps[-1].strip()):
            steps[-1] += piece
        else:
            steps.append(piece)
    return tuple(steps)


def answer_tokens(tokenizer: Any, form: StepFormat) -> tuple[int, int]:
    """Return the tokens of the good and the bad answer, for the head ``"tokens"``."""
    good, bad = (tokenizer.encode(text, add_special_tokens=False)[-1] for text in (form.good, form.bad))
    if good == bad:
        raise VerifierError(f"the tokenizer cannot tell {form.good!r} from {form.bad!r}")
    return good, bad


def _opening(form: StepFormat, question: str) -> list[dict[str, str]]:
    system = [] if form.system is None else [{"role": "system", "content": form.system}]
    return [*system, {"role": "user", "content": question}]


def _tagged(tokenizer: Any, form: StepFormat, question: str, steps: Sequence[str]) -> EncodedSteps:
    answer = form.joint.join(step + form.tag for step in steps)
    if form.chat:
        messages = [*_opening(form, question), {"role": "assistant", "content": answer}]
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=False)
        tokens = tokenizer.encode(text, add_special_tokens=False)
    else:
        tokens = tokenizer.encode(question + form.gap + answer)
    tag = tokenizer.encode(form.tag, add_special_tokens=False)[-1]
    return EncodedSteps(list(tokens), [place for place, token in enumerate(tokens) if token == tag])


def _in_pieces(tokenizer: Any, form: StepFormat, question: str, steps: Sequence[str]) -> EncodedSteps:
    if form.chat:
        opening = tokenizer.apply_chat_template(
            _opening(form, question), tokenize=False, add_generation_prompt=True
        )
        tokens = list(tokenizer.encode(opening, add_special_tokens=False))
    else:
        tokens = list(tokenizer.encode(question + form.gap))
    positions = []
    for step in steps:
        tokens += tokenizer.encode(step + form.tag, add_special_tokens=False)
        positions.append(len(tokens) - 1)
    return EncodedSteps(tokens, positions)


def _in_turns(tokenizer: Any, form: StepFormat, question: str, steps: Sequence[str]) -> EncodedSteps:
    messages: list[dict[str, str]] = []
    starts: list[list[int]] = []
    for index, step in enumerate(steps):
        content = f"{question}{form.gap}{step}" if index == 0 else step
        messages.append({"role": "user", "content": content})
        asked = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        starts.append(list(tokenizer.encode(asked, add_special_tokens=False)))
        messages.append({"role": "assistant", "content": form.good})
    # The last question holds all before it; the score of a step is what the model would say right after it.
    tokens = starts[-1]
    if any(tokens[: len(start)] != start for start in starts):
        raise VerifierError("the chat template changes earlier turns, so their scores cannot be read")
    return EncodedSteps(tokens, [len(start) - 1 for start in starts])
