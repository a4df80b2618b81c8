"""How a prompt becomes chat messages or plain text for an engine; shared by all backends that talk to a
model.

A prompt that already has messages is sent as it is; a text goes through the generator's template. Chat
templates of tokenizers are applied here, tokens are left to the engines.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from difficulty.errors import InvalidInputError, InvalidPromptError
from planner.ports.ports import SampleRequest


def check_request(request: SampleRequest, *, sent: bool = True) -> None:
    """Check once, before anything is spent, that a request can be meant.

    Parameters
    ----------
    sent : bool
        Whether the prompt goes to a model, in the generator's template.

    Raises
    ------
    InvalidInputError
        When `n` or a token limit is below 1, a stop string is empty, or a template would replace the prompt.
    """
    template = request.generator.prompt_template
    if sent and template is not None and "{prompt}" not in template and not request.prompt.messages:
        raise InvalidInputError(
            f"generator {request.generator.name!r}: the prompt template {template!r} lacks {{prompt}} "
            "and would be sent in place of each prompt; put {prompt} where the text belongs"
        )
    if request.n < 1:
        raise InvalidInputError(f"prompt {request.prompt.id!r}: n must be at least 1, got {request.n}")
    if request.max_output_tokens is not None and request.max_output_tokens < 1:
        raise InvalidInputError(f"max_output_tokens must be at least 1, got {request.max_output_tokens}")
    if "" in request.stop:
        raise InvalidInputError("stop strings must not be empty")


def text_of(request: SampleRequest) -> str:
    """Return the text of a prompt in the generator's template.

    Raises
    ------
    InvalidPromptError
        When the prompt has no text, or has messages, which only a chat template can turn into text.

    Examples
    --------
    >>> from difficulty.generator import Generator
    >>> from difficulty.prompt import Prompt
    >>> generator = Generator(name="tiny", prompt_template="Q: {prompt} A:")
    >>> text_of(SampleRequest(prompt=Prompt(text="6*7?"), generator=generator, n=1, seed=0))
    'Q: 6*7? A:'
    """
    prompt, template = request.prompt, request.generator.prompt_template
    if prompt.messages:
        raise InvalidPromptError(
            f"prompt {prompt.id!r} has chat messages and the model has no chat template; give it as text"
        )
    if prompt.text is None:
        raise InvalidPromptError(f"prompt {prompt.id!r} has neither text nor messages to sample from")
    return prompt.text if template is None else template.replace("{prompt}", prompt.text)


def messages_of(request: SampleRequest) -> list[Mapping[str, object]]:
    """Return the chat messages of a prompt; a text becomes one message of the user.

    Raises
    ------
    InvalidPromptError
        When the prompt has neither text nor messages.
    """
    if request.prompt.messages:
        return list(request.prompt.messages)
    return [{"role": "user", "content": text_of(request)}]


def tokens_of(tokenizer: Any, request: SampleRequest, *, options: Mapping[str, object]) -> list[int]:
    """Return the tokens that a model in this process continues, prefix included.

    Parameters
    ----------
    tokenizer : transformers tokenizer
        With or without a chat template.
    request : SampleRequest
        The prompt, and in `prefix` the answer so far.
    options : mapping
        Further variables of the chat template, e.g. ``{"enable_thinking": False}``; the generator's effort
        is one of them where it has any.

    Raises
    ------
    InvalidPromptError
        When the prompt has messages and the tokenizer has no chat template.
    """
    answer_so_far = "".join(request.prefix)
    if getattr(tokenizer, "chat_template", None) is None:
        return list(tokenizer(text_of(request) + answer_so_far, add_special_tokens=True)["input_ids"])
    effort = request.generator.reasoning_effort
    wanted = {**options, **({} if effort is None else {"reasoning_effort": effort})}
    text = tokenizer.apply_chat_template(
        messages_of(request), tokenize=False, add_generation_prompt=True, **wanted
    )
    # A rendered template has its special tokens already.
    return list(tokenizer(str(text) + answer_so_far, add_special_tokens=False)["input_ids"])
