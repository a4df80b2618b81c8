"""Price a usage in one unit: samples, tokens, FLOPs, dollars, seconds or joules.

It assumes that a usage counts every token once, and that what a price needs (sizes, prices, energy per token)
is declared: a missing figure is an error that says what to add, never a guess. What an allocation is expected
to use is left to `planner.planning.expectation`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from difficulty.arguments import check_number
from difficulty.arithmetic.arrays import FloatArray
from difficulty.errors import UnknownGeneratorError, UnknownUnitError
from difficulty.generator import Generator
from policies.cost.budget import Unit, check_unit
from policies.cost.flops import attention_flops, forward_flops
from policies.cost.usage import Usage

_Fields: TypeAlias = Mapping[str, FloatArray]

_TOKENS: Final = ("prompt_tokens", "output_tokens", "verifier_tokens", "predictor_tokens")
# Fields of a usage that some unit prices.
_PRICED: Final = (*_TOKENS, "cached_prompt_tokens", "samples", "requests", "seconds")


@dataclass(frozen=True, kw_only=True, slots=True)
class CostModel:
    """Prices usage in one unit.

    - ``samples``: completions drawn.
    - ``output_tokens``: tokens generated, wasted ones included.
    - ``total_tokens``: prompt (cached part included), output, verifier and predictor tokens.
    - ``flops``: 2 × active parameters × (prompt − cached + output), 2 × parameters × tokens of the verifier
      and of the predictor, and attention where `attention_widths` has the generator.
    - ``usd``: prompt, cached prompt and output tokens at the generator's prices; verifier and predictor
      tokens at `usd_per_mtok_verifier` and `usd_per_mtok_predictor`.
    - ``seconds``: wall-clock seconds of the usage, measured or expected.
    - ``joules``: energy per output, prompt (cached part excluded) and verifier token.

    Parameters
    ----------
    unit : str
        One of `policies.cost.budget.UNITS`.
    generators : mapping of str to Generator
        Sizes and prices by name; only ``flops`` and ``usd`` read them.
    verifier_params, predictor_params : float, optional
        Parameters of the reward model and of the language model behind the difficulty predictor.
    attention_widths : mapping of str to float
        Layers × model width by generator name; adds the attention term to ``flops``.
    cached_discount : float
        In [0, 1]: the part of the prompt price that cached tokens are spared, for generators that declare no
        `usd_per_mtok_cached`. 0 charges them in full.
    usd_per_mtok_verifier, usd_per_mtok_predictor : float, optional
        Dollars per million tokens that the verifier and the predictor read.
    joules_per_output_token, joules_per_prompt_token : mapping of str to float
        Measured or declared energy by generator name. A generator without an entry for prompts has its
        prefill in the figure for output, as end-to-end measurements do.
    joules_per_verifier_token : float, optional
        Energy per token that the verifier reads.

    Raises
    ------
    UnknownUnitError
        When the unit does not exist.
    InvalidInputError
        When a figure is negative or not finite.

    Examples
    --------
    >>> model = CostModel(
    ...     unit="flops", generators={"small": Generator(name="small", params=1e9)}, verifier_params=7e9
    ... )
    >>> model.price(Usage(samples=4, prompt_tokens=100, output_tokens=400, verifier_tokens=0), "small")
    1000000000000.0
    """

    unit: Unit
    generators: Mapping[str, Generator] = field(default_factory=dict)
    verifier_params: float | None = None
    predictor_params: float | None = None
    attention_widths: Mapping[str, float] = field(default_factory=dict)
    cached_discount: float = 0.0
    usd_per_mtok_verifier: float | None = None
    usd_per_mtok_predictor: float | None = None
    joules_per_output_token: Mapping[str, float] = field(default_factory=dict)
    joules_per_prompt_token: Mapping[str, float] = field(default_factory=dict)
    joules_per_verifier_token: float | None = None

    def __post_init__(self) -> None:
        check_unit(self.unit)
        numbers = {
            name: getattr(self, name)
            for name in (
                "verifier_params",
                "predictor_params",
                "cached_discount",
                "usd_per_mtok_verifier",
                "usd_per_mtok_predictor",
                "joules_per_verifier_token",
            )
        }
        for name in ("attention_widths", "joules_per_output_token", "joules_per_prompt_token"):
            numbers |= {f"{name}[{key!r}]": number for key, number in getattr(self, name).items()}
        for name, number in numbers.items():
            check_number(f"{name} of a cost model", number, ">= 0", optional=True)
        check_number("cached_discount", self.cached_discount, "in [0, 1]")

    def price(self, usage: Usage, generator: str) -> float:
        """Return what a usage costs in `unit`.

        Parameters
        ----------
        usage : Usage
            What was, or is expected to be, spent on samples of one generator.
        generator : str
            Its name.

        Raises
        ------
        UnknownUnitError
            When a figure that the unit needs is missing; the message says what to add.
        UnknownGeneratorError
            When the unit needs the generator's sizes or prices and the model does not have it.
        """
        formula = self._formula
        if formula.counts:
            # Drivers price every request, and arrays of one number cost thirty times what a sum does.
            total = float(sum(getattr(usage, name) for name in formula.reads(self, generator)))
            if not math.isnan(total):
                return total
        return float(self.price_arrays(generator, **{name: getattr(usage, name) for name in _PRICED}))

    def price_arrays(
        self,
        generator: str,
        *,
        samples: ArrayLike = 0.0,
        prompt_tokens: ArrayLike = 0.0,
        cached_prompt_tokens: ArrayLike = 0.0,
        output_tokens: ArrayLike = 0.0,
        verifier_tokens: ArrayLike = 0.0,
        predictor_tokens: ArrayLike = 0.0,
        requests: ArrayLike = 1.0,
        seconds: ArrayLike = 0.0,
    ) -> FloatArray:
        """Return what many usages cost; the fields of `Usage` as arrays that broadcast.

        Parameters
        ----------
        generator : str
            Name of the generator of all of them.
        samples, prompt_tokens, cached_prompt_tokens, output_tokens, verifier_tokens, predictor_tokens,
        requests, seconds
            As in `Usage`; NaN where not recorded.

        Returns
        -------
        array of float64
            Costs in `unit`, in the shape that the arguments broadcast to.

        Raises
        ------
        UnknownUnitError
            When a figure that the unit needs is missing or not recorded; the message says what to add.
        UnknownGeneratorError
            When the unit needs the generator's sizes or prices and the model does not have it.

        Examples
        --------
        >>> model = CostModel(unit="total_tokens")
        >>> model.price_arrays("small", prompt_tokens=[[90], [120]], output_tokens=[[100, 200], [50, 100]])
        array([[190., 290.],
               [170., 220.]])
        """
        given = {
            "samples": samples,
            "prompt_tokens": prompt_tokens,
            "cached_prompt_tokens": cached_prompt_tokens,
            "output_tokens": output_tokens,
            "verifier_tokens": verifier_tokens,
            "predictor_tokens": predictor_tokens,
            "requests": requests,
            "seconds": seconds,
        }
        usage = {name: np.asarray(array, dtype=np.float64) for name, array in given.items()}
        shape = np.broadcast_shapes(*(array.shape for array in usage.values()))
        for name in self.reads(generator):
            if np.isnan(usage[name]).any():
                raise UnknownUnitError(
                    f"{self.unit} cannot be priced for generator {generator!r}: its {name} were not "
                    "recorded; record them in the samples of the log, or use the unit 'samples'"
                )
        return np.broadcast_to(self._formula.price(self, generator, usage), shape).copy()

    def reads(self, generator: str) -> tuple[str, ...]:
        """Return the fields of a usage that the price of a generator depends on.

        Examples
        --------
        >>> CostModel(unit="output_tokens").reads("small")
        ('output_tokens',)
        """
        return self._formula.reads(self, generator)

    def charges_verifier(self) -> bool:
        """Tell whether what reading by a reward model costs in the unit is declared.

        Tokens count where it is declared in any unit: then there is such a model.

        Examples
        --------
        >>> CostModel(unit="total_tokens", verifier_params=7e9).charges_verifier()
        True
        """
        formulas = _FORMULAS.values() if self.unit == "total_tokens" else [self._formula]
        return any(formula.verifier and getattr(self, formula.verifier) is not None for formula in formulas)

    @property
    def _formula(self) -> _Formula:
        """The unit's formula."""
        try:
            return _FORMULAS[self.unit]
        except KeyError:
            raise UnknownUnitError(
                f"{self.unit!r} has no formula of its price; those that do are {', '.join(_FORMULAS)}"
            ) from None


class _Formula(NamedTuple):
    """How one unit is priced: the fields of a usage that it reads, and what they come to.

    `verifier` names the field of the model that prices tokens of a reward model; `counts` says that the price
    is the sum of the fields.
    """

    reads: Callable[[CostModel, str], tuple[str, ...]]
    price: Callable[[CostModel, str, _Fields], FloatArray]
    verifier: str = ""
    counts: bool = False


def _count(model: CostModel, generator: str, usage: _Fields) -> FloatArray:
    first, *others = (usage[name] for name in model.reads(generator))
    return sum(others, first)


def _flops(model: CostModel, generator: str, usage: _Fields) -> FloatArray:
    prompt, cached, output = usage["prompt_tokens"], usage["cached_prompt_tokens"], usage["output_tokens"]
    size = _figure(model, _generator(model, generator).size, generator, "params (or active_params)")
    total = forward_flops(prompt - cached + output, active_params=size)
    total = total + _side(model, usage["verifier_tokens"], "verifier_params", 2.0)
    total = total + _side(model, usage["predictor_tokens"], "predictor_params", 2.0)
    if generator in model.attention_widths:
        total = total + attention_flops(
            prompt_tokens=prompt,
            cached_prompt_tokens=cached,
            output_tokens=output,
            samples=usage["samples"],
            requests=usage["requests"],
            attention_width=model.attention_widths[generator],
        )
    return total


def _usd(model: CostModel, generator: str, usage: _Fields) -> FloatArray:
    prompt, cached, output = usage["prompt_tokens"], usage["cached_prompt_tokens"], usage["output_tokens"]
    declared = _generator(model, generator)
    price_in = _figure(model, declared.usd_per_mtok_in, generator, "usd_per_mtok_in")
    price_out = _figure(model, declared.usd_per_mtok_out, generator, "usd_per_mtok_out")
    spared = model.cached_discount * price_in
    if declared.usd_per_mtok_cached is not None:
        spared = price_in - declared.usd_per_mtok_cached
    total = (price_in * prompt - spared * cached + price_out * output) / 1e6
    total = total + _side(model, usage["verifier_tokens"], "usd_per_mtok_verifier", 1e-6)
    return total + _side(model, usage["predictor_tokens"], "usd_per_mtok_predictor", 1e-6)


def _seconds(model: CostModel, generator: str, usage: _Fields) -> FloatArray:
    if np.any((usage["seconds"] == 0) & (usage["samples"] + usage["output_tokens"] > 0)):
        raise UnknownUnitError(
            f"seconds cannot be priced for generator {generator!r}: its usage has samples but no seconds; "
            "fit a decode model to timed runs (policies.cost.latency) and give it to the expected usage, or "
            "use another unit"
        )
    return usage["seconds"]


def _joules(model: CostModel, generator: str, usage: _Fields) -> FloatArray:
    energy = model.joules_per_output_token.get(generator)
    if energy is None:
        raise UnknownUnitError(
            f"joules cannot be priced for generator {generator!r}: no energy per token is known; measure it "
            "and add it to joules_per_output_token of the cost model"
        )
    total = energy * usage["output_tokens"]
    if generator in model.joules_per_prompt_token:
        read = usage["prompt_tokens"] - usage["cached_prompt_tokens"]
        total = total + model.joules_per_prompt_token[generator] * read
    total = total + _side(model, usage["verifier_tokens"], "joules_per_verifier_token", 1.0)
    if np.any(usage["predictor_tokens"] > 0):
        raise UnknownUnitError(
            "joules cannot be priced for predictor tokens; measure the predictor and add its energy yourself"
        )
    return total


def _flops_fields(model: CostModel, generator: str) -> tuple[str, ...]:
    attention = ("samples", "requests") if generator in model.attention_widths else ()
    return (*_TOKENS, "cached_prompt_tokens", *attention)


def _joules_fields(model: CostModel, generator: str) -> tuple[str, ...]:
    prompt = ("prompt_tokens", "cached_prompt_tokens") if generator in model.joules_per_prompt_token else ()
    return (*prompt, "output_tokens", "verifier_tokens", "predictor_tokens")


def _always(*fields: str) -> Callable[[CostModel, str], tuple[str, ...]]:
    return lambda model, generator: fields


# The one place where prices are written down; a unit without a formula is an error, never another's price.
_FORMULAS: Final[Mapping[str, _Formula]] = {
    "samples": _Formula(_always("samples"), _count, counts=True),
    "output_tokens": _Formula(_always("output_tokens"), _count, counts=True),
    "total_tokens": _Formula(_always(*_TOKENS), _count, counts=True),
    "flops": _Formula(_flops_fields, _flops, verifier="verifier_params"),
    "usd": _Formula(_always(*_TOKENS, "cached_prompt_tokens"), _usd, verifier="usd_per_mtok_verifier"),
    "seconds": _Formula(_always("seconds", "samples"), _seconds),
    "joules": _Formula(_joules_fields, _joules, verifier="joules_per_verifier_token"),
}


def _generator(model: CostModel, name: str) -> Generator:
    """Return a generator by name."""
    try:
        return model.generators[name]
    except KeyError:
        raise UnknownGeneratorError(
            f"{model.unit} needs the sizes or prices of generator {name!r}, and the cost model has "
            f"{', '.join(map(repr, sorted(model.generators))) or 'none'}; add it to the header of the log"
        ) from None


def _figure(model: CostModel, figure: float | None, generator: str, name: str) -> float:
    """Return a figure of a generator, or raise the error that says where to add it."""
    if figure is None:
        raise UnknownUnitError(
            f"{model.unit} cannot be priced for generator {generator!r}: add {name} to it in the header "
            "of the log (planner import --generators FILE writes it there)"
        )
    return figure


def _side(model: CostModel, tokens: FloatArray, name: str, factor: float) -> FloatArray:
    """Price the tokens of the verifier or predictor; nothing where there are none."""
    figure: float | None = getattr(model, name)
    if figure is None:
        if np.any(tokens > 0):
            raise UnknownUnitError(
                f"{model.unit} cannot be priced: verifier or predictor tokens were used and {name} of the "
                "cost model is not set; set it (0 where they are free)"
            )
        return np.zeros(())
    return factor * figure * tokens
