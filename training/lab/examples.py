"""Turn problems and attempts into token sequences, and sequences into batches of like length.

A sequence is a prompt, on which no loss falls, and a completion that ends in the end-of-text token. What is
trained on the batches is left to `training.lab.fit`; where attempts come from, to `training.lab.revisions`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.ragged import like_lengths
from training.lab import DIRECT_TEMPLATE, REVISION_REQUEST, REVISION_SEPARATOR, STEPS_TEMPLATE
from training.lab.tasks import MAX_DIGITS, MAX_STEPS, STEP_DELIMITER, WordProblem, draw_problem
from training.lab.writers import write_solution

NOT_LEARNED = -100
"""Stands where nothing is to be learned, in every batch."""

_MULTIPLE = 16  # that sequences are padded to: few widths keep memory from fragmenting
_DIGIT_WEIGHTS = np.array([0.30, 0.40, 0.30])
_DRILL_DIGIT_WEIGHTS = np.array([0.10, 0.40, 0.50])  # long numbers have the most facts to learn
_DIRECT = {1: 0.7, 2: 0.5, 3: 0.1}  # share of direct answers by steps; beyond three they are guesses
_DIRECT_BEYOND = 0.02
_STEP_WEIGHTS = np.array([0.36, 0.20, 0.14, 0.11, 0.10, 0.09])  # 1..6: short ones teach the most per token


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """A training text.

    Parameters
    ----------
    prompt : str
        Rendered chat up to and including the token that opens the answer.
    completion : str
        The answer, without the end-of-text token.
    results_only : bool
        Learn only what follows each ``=``: a drill, whose left-hand sides nobody could foresee.
    """

    prompt: str
    completion: str
    results_only: bool = False


class Batch(NamedTuple):
    """Sequences padded on the right.

    Parameters
    ----------
    input_ids : ndarray, shape (B, T), dtype int64
        Tokens.
    targets : ndarray, shape (B, T), dtype int64 or float32
        What is learned at each position: the next token, or a step's soft label; `NOT_LEARNED` for nothing.
    """

    input_ids: NDArray[np.int64]
    targets: NDArray[Any]


class Encoded(NamedTuple):
    """The tokens of a sequence, and what is learned at each of them."""

    tokens: list[int]
    targets: NDArray[Any]


def base_examples(problems: Sequence[WordProblem], rng: np.random.Generator) -> list[Example]:
    """Write first answers: direct and right, or step by step with slips, as the plain prompt asks, too."""
    result = []
    for problem in problems:
        if rng.random() < _DIRECT.get(problem.n_steps, _DIRECT_BEYOND):
            template, written = DIRECT_TEMPLATE, problem.direct
        else:
            template = "{prompt}" if rng.random() < 0.2 else STEPS_TEMPLATE
            written = write_solution(problem, rng)
        result.append(Example(prompt=chat(template.format(prompt=problem.text)), completion=written))
    return result


def drill_examples(n: int, rng: np.random.Generator) -> list[Example]:
    """Write chains of right equations without a problem: twice the arithmetic per token."""
    digits = rng.choice(MAX_DIGITS, size=n, p=_DRILL_DIGIT_WEIGHTS) + 1
    problems = [draw_problem(rng, n_steps=MAX_STEPS, n_digits=int(d)) for d in digits]
    lines = ["".join(equation + STEP_DELIMITER for equation in problem.equations) for problem in problems]
    return [Example(prompt=chat(""), completion=text, results_only=True) for text in lines]


def revision_example(question: str, attempts: Sequence[str], completion: str, *, as_chat: bool) -> Example:
    """Write a revision: earlier attempts in order, then the answer to learn.

    Parameters
    ----------
    question : str
        The templated problem.
    attempts : sequence of str
        Earlier attempts, oldest first, at least one.
    completion : str
        What follows them.
    as_chat : bool
        Each attempt is an assistant message, which the user's request follows; otherwise all is one assistant
        message, with the separator between attempts.

    Examples
    --------
    >>> revision_example("6*7?", ["#### 41"], "#### 42", as_chat=True).prompt
    '<bos><user>6*7?<assistant>#### 41<eos><user>Check and answer again.<assistant>'
    """
    between = f"<eos><user>{REVISION_REQUEST}<assistant>" if as_chat else REVISION_SEPARATOR
    turns = "".join(attempt + between for attempt in attempts)
    return Example(prompt=chat(question) + turns, completion=completion)


def chat(question: str) -> str:
    """Render one user message as the tokenizer's chat template does."""
    return f"<bos><user>{question}<assistant>"


def draw_shard(seed: int, shard: int, *, size: int) -> tuple[list[WordProblem], np.random.Generator]:
    """Draw `size` problems and return the random stream that goes with them."""
    rng = np.random.default_rng([seed, shard])
    steps = rng.choice(MAX_STEPS, size=size, p=_STEP_WEIGHTS) + 1
    lengths = rng.choice(MAX_DIGITS, size=size, p=_DIGIT_WEIGHTS) + 1
    return [
        draw_problem(rng, n_steps=int(s), n_digits=int(d)) for s, d in zip(steps, lengths, strict=True)
    ], rng


def encode(examples: Sequence[Example], tokenizer: Any) -> list[Encoded]:
    """Return the tokens of each example with the end-of-text token, and what to learn at each."""
    prompts = tokenizer([example.prompt for example in examples], add_special_tokens=False)["input_ids"]
    answers = tokenizer([example.completion for example in examples], add_special_tokens=False)["input_ids"]
    equals, delimiter = tokenizer.convert_tokens_to_ids(["=", "Ċ"])
    result = []
    for example, prompt, answer in zip(examples, prompts, answers, strict=True):
        learned = [*answer, tokenizer.eos_token_id]
        if example.results_only:
            learned, inside = [], False
            for token in answer:
                learned.append(token if inside else NOT_LEARNED)
                inside = (inside or token == equals) and token != delimiter
            learned.append(NOT_LEARNED)
        targets = [NOT_LEARNED] * (len(prompt) - 1) + learned + [NOT_LEARNED]
        result.append(Encoded(prompt + answer + [tokenizer.eos_token_id], np.array(targets)))
    return result


def batches(
    shards: Callable[[int], tuple[Sequence[Example], np.random.Generator]],
    tokenizer: Any,
    *,
    batch_tokens: int,
) -> Iterator[Batch]:
    """Yield batches without end; the same arguments give the same batches.

    Parameters
    ----------
    shards : callable
        Examples of the i-th shard and the random stream that shuffles its batches.
    tokenizer : PreTrainedTokenizerBase
        Tokenizer.
    batch_tokens : int
        Tokens per batch, padding included; sequences are padded to a multiple of 16.
    """
    for index in count():
        examples, rng = shards(index)
        yield from mixed_batches(encode(examples, tokenizer), rng, tokenizer, batch_tokens=batch_tokens)


def mixed_batches(
    encoded: Sequence[Encoded], rng: np.random.Generator, tokenizer: Any, *, batch_tokens: int
) -> Iterator[Batch]:
    """Yield each sequence once, in batches of like length that come in random order."""
    groups = like_lengths([len(tokens) for tokens, _ in encoded], batch_tokens, multiple=_MULTIPLE)
    for position in rng.permutation(len(groups)):
        yield padded([encoded[index] for index in groups[position]], tokenizer)


def padded(sequences: Sequence[Encoded], tokenizer: Any) -> Batch:
    """Pad sequences on the right."""
    longest = max(len(tokens) for tokens, _ in sequences)
    width = -(-longest // _MULTIPLE) * _MULTIPLE
    input_ids = np.full((len(sequences), width), tokenizer.pad_token_id, dtype=np.int64)
    targets = np.full((len(sequences), width), NOT_LEARNED, dtype=sequences[0].targets.dtype)
    for row, (tokens, learned) in enumerate(sequences):
        input_ids[row, : len(tokens)] = tokens
        targets[row, : len(tokens)] = learned
    return Batch(input_ids=input_ids, targets=targets)
