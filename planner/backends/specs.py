"""Name a backend in plain values, so that a command line, or a worker on another machine, can open it.

A specification holds no key: keys are read from the environment when the backend is opened, and never sent to
a host that they were not meant for. What the backends do is left to `planner.backends`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

import msgspec

from difficulty.arguments import check_choice
from difficulty.errors import InvalidInputError
from difficulty.generator import Generator
from planner.drivers.session import DriverName
from planner.ports.ports import Backend

BackendKind: TypeAlias = Literal["openai", "transformers", "vllm", "replay"]
BACKENDS: Final[tuple[str, ...]] = get_args(BackendKind)

_KEY: Final = "PLANNER_API_KEY"
# The name that other tools set holds a key for this host; it goes to no other one.
_OPENAI_KEY: Final = "OPENAI_API_KEY"
_OPENAI_HOST: Final = "api.openai.com"
# Output tokens of models in this process, where nobody sets a limit.
_MOST: Final = 1024
_ONLY: Final[Mapping[str, tuple[str, ...]]] = {
    "base_url": ("openai",),
    "extra_body": ("openai",),
    "generator_bodies": ("openai",),
    "thinking_field": ("openai",),
    "key_variable": ("openai",),
    "engine_options": ("vllm",),
    "chat_options": ("transformers", "vllm"),
    "log": ("replay",),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class BackendSpec:
    """A backend and its options; picklable, and free of secrets.

    Parameters
    ----------
    kind : {"openai", "transformers", "vllm", "replay"}
        Any OpenAI-compatible server, a model in this process through transformers or vLLM, or a sample log.
    base_url : str, optional
        Address of the server, up to ``/v1``; for ``"openai"``.
    model : str, optional
        Model of the server where a generator names none; folder or hub name for models in this process.
    log : str, optional
        Sample log; for ``"replay"``.
    api : {"chat", "completions"}
        Endpoint of the server.
    single : bool
        Ask for one sample per request.
    extra_body : str
        JSON object of further request fields, e.g. ``{"top_k": 0, "min_p": 0}``; empty for none.
    generator_bodies : str
        JSON object of such objects by generator, merged into it: ``"{thinking_tokens}"`` in them stands for
        the generator's thinking budget. Empty for none.
    thinking_field : str, optional
        Field of the server for thinking budgets, dots going into nested objects.
    engine_options : str
        JSON object of further arguments of ``vllm.LLM``; for ``"vllm"``.
    chat_options : str
        JSON object of variables of the chat template; for models in this process.
    key_variable : str, optional
        Environment variable of the server's key; by default ``PLANNER_API_KEY``, and ``OPENAI_API_KEY`` for
        that company's own address.
    concurrency : int
        Requests in flight, at least 1.
    timeout_seconds : float
        Limit for one try, above 0.
    max_output_tokens : int, optional
        For generators that set no limit; models in this process only.

    Raises
    ------
    InvalidInputError
        When an option is missing or does not go with the kind.

    Examples
    --------
    >>> BackendSpec(kind="openai", base_url="http://127.0.0.1:8000/v1", model="tiny").driver
    'concurrent'
    """

    kind: BackendKind
    base_url: str | None = None
    model: str | None = None
    log: str | None = None
    api: Literal["chat", "completions"] = "chat"
    single: bool = False
    extra_body: str = ""
    generator_bodies: str = ""
    thinking_field: str | None = None
    engine_options: str = ""
    chat_options: str = ""
    key_variable: str | None = None
    concurrency: int = 64
    timeout_seconds: float = 600.0
    max_output_tokens: int | None = None

    def __post_init__(self) -> None:
        check_choice("the backend", self.kind, BACKENDS)
        needed = {"openai": "base_url", "transformers": "model", "vllm": "model", "replay": "log"}[self.kind]
        if not getattr(self, needed):
            option = f"--{needed.replace('_', '-')}"
            raise InvalidInputError(f"the {self.kind} backend needs {option} ({needed}= in Python)")
        for name, kinds in _ONLY.items():
            if getattr(self, name) and self.kind not in kinds:
                raise InvalidInputError(f"{name} does not go with the {self.kind} backend")
        if self.max_output_tokens is not None and self.kind not in ("transformers", "vllm"):
            raise InvalidInputError(
                f"max_output_tokens does not go with the {self.kind} backend; set it in the generators"
            )
        self.options("extra_body")
        self.bodies()
        self.options("engine_options")
        self.options("chat_options")

    @property
    def driver(self) -> DriverName:
        """How to drive it: servers take requests as they come, engines in this process take batches."""
        return "concurrent" if self.kind == "openai" else "lockstep"

    def bodies(self) -> dict[str, dict[str, object]]:
        """Return the further request fields by generator.

        Raises
        ------
        InvalidInputError
            When `generator_bodies` is no JSON object of objects.
        """
        found = self.options("generator_bodies")
        if not all(isinstance(body, dict) for body in found.values()):
            raise InvalidInputError("generator_bodies must be a JSON object of objects, by generator")
        return {name: body for name, body in found.items() if isinstance(body, dict)}

    def options(self, name: str) -> dict[str, object]:
        """Return one of the fields that are JSON objects; empty where it is."""
        try:
            return msgspec.json.decode(getattr(self, name) or "{}", type=dict[str, object])
        except msgspec.MsgspecError as error:
            raise InvalidInputError(f"{name} must be a JSON object: {error}") from error

    def check(self, generators: Iterable[Generator]) -> None:
        """Refuse generators that this backend cannot draw from.

        Raises
        ------
        InvalidInputError
            When a model in this process should stand for several models, or no model is named.
        """
        generators = tuple(generators)
        models = sorted({generator.model for generator in generators if generator.model is not None})
        if self.kind in ("transformers", "vllm") and len(models) > 1:
            raise InvalidInputError(
                f"the generators name the models {', '.join(models)}; the {self.kind} backend holds one: use "
                "them one after the other, or serve them and take the openai backend"
            )
        if self.kind == "openai" and self.model is None:
            nameless = [generator.name for generator in generators if generator.model is None]
            if nameless:
                raise InvalidInputError(
                    f"generators without a model: {', '.join(nameless)}; name it there or give --model"
                )

    def open(self, *, without_tokens: bool = False) -> Backend:
        """Return the backend; models in this process are loaded now.

        Parameters
        ----------
        without_tokens : bool
            Replay a log without output tokens too, since what is spent is counted in samples.

        Raises
        ------
        InvalidInputError
            When the address, the log or the named key variable is wrong.
        MissingDependencyError
            When its package is not installed.
        """
        if self.kind == "openai":
            from planner.backends.openai import OpenAIBackend

            return OpenAIBackend(
                base_url=self.base_url or "",
                model=self.model,
                api_key=self._key(),
                api=self.api,
                n_choices="single" if self.single else "auto",
                extra_body=self.options("extra_body"),
                generator_bodies=self.bodies(),
                thinking_field=self.thinking_field or "thinking_token_budget",
                max_concurrency=self.concurrency,
                timeout_seconds=self.timeout_seconds,
            )
        if self.kind == "transformers":
            from planner.backends.transformers import TransformersBackend

            return TransformersBackend.load(
                self.model or "",
                max_output_tokens=self.max_output_tokens or _MOST,
                chat_options=self.options("chat_options"),
            )
        if self.kind == "vllm":
            from planner.backends.vllm import VLLMBackend

            return VLLMBackend.load(
                self.model or "",
                engine_options=self.options("engine_options"),
                max_output_tokens=self.max_output_tokens or _MOST,
                chat_options=self.options("chat_options"),
            )
        from difficulty.log.sample_log import SampleLog
        from planner.backends.replay import ReplayBackend

        return ReplayBackend(SampleLog.read(self.log or ""), without_tokens=without_tokens)

    def _key(self) -> str | None:
        """Return the server's key from the environment."""
        if self.key_variable is not None:
            key = os.environ.get(self.key_variable)
            if not key:
                raise InvalidInputError(f"the environment variable {self.key_variable} is not set")
            return key
        from planner.backends.openai.base_url import split_base_url

        host = split_base_url(self.base_url or "").hostname
        return os.environ.get(_OPENAI_KEY if host == _OPENAI_HOST else _KEY) or None
