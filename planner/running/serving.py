"""Say which model and which prompt template serve each generator of a bundle in a run.

A log's header often names a model or template by a word of its own; whoever runs a bundle names them for the
server at hand. It never guesses: one model stands for several generators only where the log says that they
share one. Drawing is left to the backends.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from difficulty.errors import InvalidInputError
from difficulty.generator import Generator


def named_values(given: Iterable[str], generators: Mapping[str, Generator], *, option: str) -> dict[str, str]:
    """Read values of the form ``GENERATOR=VALUE``; one without a name is meant for all, under the key "".

    Raises
    ------
    InvalidInputError
        When two values are given for one generator, or for all.

    Examples
    --------
    >>> named_values(["a=m", "b=n"], {"a": Generator(name="a"), "b": Generator(name="b")}, option="--model")
    {'a': 'm', 'b': 'n'}
    """
    values: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not (equals and name in generators):
            name, value = "", text
        if name in values:
            raise InvalidInputError(f"{option} is given twice for {name or 'all generators'}: {text!r}")
        values[name] = value
    return values


def with_models(generators: Mapping[str, Generator], models: Mapping[str, str]) -> dict[str, Generator]:
    """Return the generators with the models that will draw for them.

    Parameters
    ----------
    generators : mapping of str to Generator
        As the bundle describes them.
    models : mapping of str to str
        Model of each generator; under "" one for all, where they share one.

    Raises
    ------
    InvalidInputError
        When one model is given for generators of several models, or the models of some are not known.
    """
    everyone = models.get("")
    others = [generator for name, generator in generators.items() if name not in models]
    if everyone is not None and len(others) > 1:
        recorded = sorted({str(generator.model) for generator in others})
        if len(recorded) > 1 or any(generator.model is None for generator in others):
            known = ", ".join(f"{other.name}: {other.model or 'not recorded'}" for other in others)
            options = " ".join(f"--model {other.name}=MODEL" for other in others)
            raise InvalidInputError(
                f"one model {everyone!r} for {len(others)} generators, whose models are {known}; name each: "
                f"{options}"
            )
    return {
        name: replace(generator, model=models.get(name, everyone) or generator.model)
        for name, generator in generators.items()
    }


def with_templates(
    generators: Mapping[str, Generator], templates: Mapping[str, str], *, check: bool
) -> dict[str, Generator]:
    """Return the generators with the templates that prompts are put in.

    Parameters
    ----------
    templates : mapping of str to str
        Template of each generator; under "" one for all.
    check : bool
        Whether the templates will be used, so that each must hold ``{prompt}``.

    Raises
    ------
    InvalidInputError
        When a template that will be used does not hold ``{prompt}``, and would replace the prompt.
    """
    changed = {
        name: replace(
            generator, prompt_template=templates.get(name, templates.get("", generator.prompt_template))
        )
        for name, generator in generators.items()
    }
    for name, generator in changed.items():
        if check and generator.prompt_template is not None and "{prompt}" not in generator.prompt_template:
            raise InvalidInputError(
                f"the prompt template of generator {name!r} is {generator.prompt_template!r}, without "
                "{prompt}: it would be sent in place of each prompt; give the text that it stands for with "
                f"--template '{name}=... {{prompt}} ...', or '{name}={{prompt}}' for prompts as they are"
            )
    return changed
