"""The generators of a bundle as a run draws from them: with the models and templates of this server.

It assumes the options of a backend; a recorded log is replayed as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from planner.commands.terminal.draw_options import BackendOptions
from planner.commands.terminal.terminal import note

if TYPE_CHECKING:
    from difficulty.generator import Generator
    from difficulty.prompt import Prompt
    from planner.backends.specs import BackendSpec


def served_generators(
    generators: Mapping[str, Generator],
    prompts: Sequence[Prompt],
    backend: BackendOptions,
    templates: tuple[str, ...],
) -> tuple[dict[str, Generator], BackendSpec]:
    """Return the generators as this run draws from them, and the backend; a log is replayed as it is."""
    from planner.running.serving import named_values, with_models, with_templates

    models = named_values(backend.models, generators, option="--model")
    spec = backend.spec(models.get("", next(iter(models.values()), None)))
    if spec.kind == "replay":
        return dict(generators), spec
    named = with_models(generators, models)
    if spec.kind == "openai":
        for name, generator in named.items():
            if generators[name].model not in (None, generator.model):
                note(
                    f"generator {name!r} draws from {generator.model}; its log names {generators[name].model}"
                )
    else:
        spec.check(named.values() if len(set(models.values())) > 1 else generators.values())
        named = dict(generators)  # a model in this process is loaded by its path, whatever the log calls it
    changed = with_templates(
        named,
        named_values(templates, generators, option="--template"),
        check=not all(prompt.messages for prompt in prompts),
    )
    spec.check(changed.values())
    return changed, spec
