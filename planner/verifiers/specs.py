"""Name a verifier in plain words, so that a command line, or a worker on another machine, can open it.

It assumes reward models in folders or under hub names. What the verifiers do is left to `planner.verifiers`.
"""

from __future__ import annotations

from difficulty.errors import InvalidInputError, VerifierError
from difficulty.prompt import Prompt
from planner.ports.ports import AnswerExtractor, Grader, Verifier
from policies.verifier.learned_verifier import LEARNED


def open_verifier(name: str, *, extractor: AnswerExtractor, grader: Grader) -> Verifier:
    """Return a verifier by name; reward models are loaded now.

    Parameters
    ----------
    name : str
        ``mean_logprob``, ``checker`` (1 for right, 0 for wrong, by the grader), ``reward:MODEL`` (an outcome
        reward model), or ``process:FORM:MODEL`` (a process reward model; forms are the keys of
        `planner.verifiers.step_formats.STEP_FORMATS`).
    extractor : AnswerExtractor
        Finds answers, for the checker.
    grader : Grader
        Judges them, for the checker.

    Raises
    ------
    InvalidInputError
        When the name is none of these.
    MissingDependencyError
        When the model's packages are not installed.
    """
    kind, _, rest = name.partition(":")
    if name == "mean_logprob":
        from planner.verifiers.mean_logprob import MeanLogprob

        return MeanLogprob()
    if name == "checker":
        from planner.verifiers.exact import Checker

        def judge(prompt: Prompt, text: str) -> float:
            right = grader.grade(prompt, extractor.extract(text, "stop"))
            if right is None:
                raise VerifierError(f"prompt {prompt.id!r} has no reference answer to check against")
            return float(right)

        return Checker(function=judge)
    if kind == "reward" and rest:
        from planner.verifiers.outcome_reward import OutcomeRewardModel

        return OutcomeRewardModel.load(rest)
    if kind == "process" and ":" in rest:
        from planner.verifiers.process_reward import ProcessRewardModel

        form, _, model = rest.partition(":")
        return ProcessRewardModel.load(model, form=form)
    if name == LEARNED:
        raise InvalidInputError(
            "the learned verifier comes with a bundle: it is for `planner run`, and for samples of the "
            "generators that the bundle was trained on"
        )
    raise InvalidInputError(
        f"the verifier must be mean_logprob, checker, reward:MODEL or process:FORM:MODEL; got {name!r}"
    )
