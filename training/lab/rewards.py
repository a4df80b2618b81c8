"""Train the step-level reward model: how likely is it that an answer continued from here ends right?

Labels are Monte-Carlo estimates as in Math-Shepherd: from each prefix of a solution the language model itself
goes on several times, and the share of right ends is the label; nobody marks steps. The model stands on the
language model's backbone and is read at the line end after each step; how it sees what that model did not
expect is left to `training.lab.comparison`, using it in a search to `planner.verifiers`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from difficulty.errors import require
from planner.verifiers.model_batches import logits_at
from training.lab import STEPS_TEMPLATE
from training.lab.comparison import N_EXTRA, set_up_comparison, widen
from training.lab.examples import NOT_LEARNED, Batch, Encoded, chat, mixed_batches
from training.lab.sampling import sample, solutions
from training.lab.tasks import ANSWER_MARK, STEP_DELIMITER, WordProblem, draw_problems, grade

_JUDGED = (*"0123456789=+-*/", ":Ġ")  # what of a step is compared with what was expected
_SCORED_TOKENS = 8192  # of a batch that is only scored


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledSteps:
    """A solution with the estimated value of each of its prefixes.

    Parameters
    ----------
    question : str
        The problem as the language model saw it.
    steps : tuple of str
        Lines, without delimiters.
    values : tuple of float
        For each line, the share of continuations from its end that were right, 0 to 1.

    References
    ----------
    Wang et al. 2024, Math-Shepherd, arXiv 2312.08935, section 3.3 (soft estimation, equation 4).
    """

    question: str
    steps: tuple[str, ...]
    values: tuple[float, ...]


def split_steps(completion: str) -> tuple[str, ...]:
    """Return the lines of a completion that hold something.

    Examples
    --------
    >>> split_steps("4+5=9\\n#### 9")
    ('4+5=9', '#### 9')
    """
    return tuple(line for line in completion.split(STEP_DELIMITER) if line)


def label_steps(
    model: Any,
    tokenizer: Any,
    problems: Sequence[WordProblem],
    *,
    n_solutions: int,
    n_rollouts: int,
    seed: int,
) -> list[LabelledSteps]:
    """Draw solutions and label each of their steps.

    Parameters
    ----------
    model, tokenizer
        Language model, which draws both the solutions and the continuations, at temperature 1.
    problems : sequence of WordProblem
        Problems; the plain text is recorded as the question.
    n_solutions : int
        Solutions per problem, at least 1.
    n_rollouts : int
        Further continuations per prefix, at least 0: a solution continues each of its own prefixes.
    seed : int
        Seed.
    """
    drawn = solutions(model, tokenizer, problems, n=n_solutions, seed=seed)
    written = [(index, split_steps(text)) for index, texts in enumerate(drawn) for text in texts]
    ends: dict[tuple[int, tuple[str, ...]], list[bool]] = defaultdict(list)
    for index, steps in written:
        right = grade(problems[index], STEP_DELIMITER.join(steps))
        for stop in range(1, len(steps) + 1):
            ends[index, steps[:stop]].append(right)  # a solution continues each of its own prefixes
    if n_rollouts:
        open_ones = [key for key in ends if not key[1][-1].startswith(ANSWER_MARK)]
        starts = [
            chat(STEPS_TEMPLATE.format(prompt=problems[index].text))
            + "".join(step + STEP_DELIMITER for step in steps)
            for index, steps in open_ones
        ]
        rollouts = sample(model, tokenizer, starts, n=n_rollouts, seed=seed + 1)
        for (index, steps), texts in zip(open_ones, rollouts, strict=True):
            ends[index, steps] += [grade(problems[index], text) for text in texts]
    return [
        LabelledSteps(
            question=problems[index].text,
            steps=steps,
            values=tuple(float(np.mean(ends[index, steps[:stop]])) for stop in range(1, len(steps) + 1)),
        )
        for index, steps in written
        if steps
    ]


def reward_batches(
    labelled: Sequence[LabelledSteps], tokenizer: Any, *, batch_tokens: int, seed: int
) -> Iterator[Batch]:
    """Yield batches without end, pass after pass: a step's result and its line end have its value to learn.

    Only the line end is read later, but the digits before it show which one spoiled a step.
    """
    openers = tokenizer.convert_tokens_to_ids(["=", "####Ġ"])
    encoded = []
    for item in labelled:
        tokens, bounds = _tokens(tokenizer, item.question, item.steps)
        targets = np.full(len(tokens), NOT_LEARNED, dtype=np.float32)
        for (before, end), value in zip(pairwise(bounds), item.values, strict=True):
            line = tokens[before + 1 : end + 1]
            written = next((place + 1 for place, token in enumerate(line) if token in openers), 0)
            targets[before + 1 + written : end + 1] = value
        encoded.append(Encoded(tokens, targets))
    for epoch in count():
        rng = np.random.default_rng([seed, epoch])
        # so that sequences of one length meet others in every pass
        mixed = [encoded[index] for index in rng.permutation(len(encoded))]
        yield from mixed_batches(mixed, rng, tokenizer, batch_tokens=batch_tokens)


def reward_model(language_model: Path) -> Any:
    """Build the reward model: backbone, comparison with what was expected, and a layer that is yet to learn.

    The language model's backbone and the two layers of `training.lab.comparison` above it are fixed; trained
    are the layer above these, the last norm and the two-class head ("wrong", "right").

    Parameters
    ----------
    language_model : Path
        Folder of the language model and its tokenizer.
    """
    torch = require("torch", extra="local")
    transformers = require("transformers", extra="local")
    tokenizer = transformers.AutoTokenizer.from_pretrained(language_model)
    narrow = transformers.AutoModelForCausalLM.from_pretrained(language_model, dtype=torch.float32).eval()
    n_fixed = narrow.config.num_hidden_layers + 2
    changed = {
        "hidden_size": narrow.config.hidden_size + N_EXTRA,
        "num_hidden_layers": n_fixed + 1,
        "head_dim": narrow.config.head_dim,
        "tie_word_embeddings": False,
        "id2label": {0: "wrong", 1: "right"},
        "label2id": {"wrong": 0, "right": 1},
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = transformers.LlamaForTokenClassification(
            transformers.LlamaConfig(**(narrow.config.to_dict() | changed))
        )
    written = tokenizer.convert_tokens_to_ids(list(_JUDGED))
    widen(model.model, narrow.model)
    found = set_up_comparison(
        model.model,
        narrow,
        written=written,
        expected=[*written, tokenizer.convert_tokens_to_ids("Ċ")],
        opener=tokenizer.convert_tokens_to_ids("<assistant>"),
        size=_size(narrow, tokenizer),
    )
    fixed = [model.model.embed_tokens, *model.model.layers[:n_fixed]]
    for weight in (weight for module in fixed for weight in module.parameters()):
        weight.requires_grad_(False)
    with torch.no_grad():
        above = model.model.layers[n_fixed]
        for norm in (above.input_layernorm, above.post_attention_layernorm, model.model.norm):
            norm.weight.copy_(model.model.layers[n_fixed - 1].post_attention_layernorm.weight)
        torch.nn.init.zeros_(model.score.bias)
        torch.nn.init.zeros_(model.score.weight)  # every step starts at one half, but for
        model.score.weight[:, found] = torch.tensor([0.5, -0.5])  # doubt, which speaks against it
    return model


def _size(narrow: Any, tokenizer: Any) -> float:
    """Return the root mean square of the hidden state below the last norm, over a few solutions."""
    torch = require("torch", extra="local")
    seen: list[Any] = []
    hook = narrow.model.norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.inference_mode():
        for problem in draw_problems(n=8, seed=0):
            narrow(input_ids=torch.tensor([_tokens(tokenizer, problem.text, problem.steps)[0]]))
    hook.remove()
    return float(np.mean([hidden.pow(2).mean(dim=-1).sqrt().mean().item() for hidden in seen]))


def reward_loss(model: Any, batch: Batch) -> Any:
    """Return the mean cross-entropy against the soft labels at the step ends."""
    torch = require("torch", extra="local")
    targets = torch.from_numpy(batch.targets)
    learned = targets >= 0
    logits = model(input_ids=torch.from_numpy(batch.input_ids)).logits[learned]
    value = targets[learned]
    return torch.nn.functional.cross_entropy(logits, torch.stack((1 - value, value), dim=-1))


def score_steps(
    model: Any, tokenizer: Any, solutions: Sequence[tuple[str, tuple[str, ...]]]
) -> list[NDArray[np.float64]]:
    """Return P(right) at the end of each step.

    Parameters
    ----------
    model, tokenizer
        Reward model and tokenizer.
    solutions : sequence of (str, tuple of str), length S
        Question and steps.

    Returns
    -------
    list of ndarray, S times shape (steps,)
        Values between 0 and 1; empty for a solution without steps.
    """
    encoded = [_tokens(tokenizer, question, steps) for question, steps in solutions]
    logits = logits_at(
        model,
        [tokens for tokens, _ in encoded],
        [bounds[1:] for _, bounds in encoded],
        max_batch_tokens=_SCORED_TOKENS,
    )
    return [found.softmax(dim=-1)[:, 1].double().numpy() for found in logits]


def _tokens(tokenizer: Any, question: str, steps: Sequence[str]) -> tuple[list[int], list[int]]:
    """Return tokens, and the positions of the prompt's last token and of the line end after each step."""
    tokens: list[int] = tokenizer(chat(question), add_special_tokens=False)["input_ids"]
    bounds = [len(tokens) - 1]
    for step in steps:
        tokens += tokenizer(step + STEP_DELIMITER, add_special_tokens=False)["input_ids"]
        bounds.append(len(tokens) - 1)
    return tokens, bounds
