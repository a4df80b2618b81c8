"""``planner run`` names what serves each generator, and does not pay twice for a finished output."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_openai_server import FakeOpenAIServer, Response, completion

from difficulty.errors import InvalidInputError
from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog
from difficulty.prompt import Prompt
from planner.backends.prompt_text import check_request
from planner.cli import main
from planner.ports.ports import SampleRequest
from planner.running.serving import named_values, with_models, with_templates


def answer(body: dict[str, Any], index: int) -> Response:
    del index
    return completion(body, message={"content": "It is 4"})


@pytest.fixture
def server() -> Iterator[FakeOpenAIServer]:
    with FakeOpenAIServer(answer) as running:
        yield running


def bundle_of(folder: Path, *generators: Generator) -> Path:
    """Train on forty sums that the first generator often gets wrong and the last mostly right."""
    records = [
        {
            "prompt_id": f"q{index}",
            "prompt": f"What is {index} + 4 - {index} ?" + " please" * (index % 7),
            "generator": generator.name,
            "samples": [
                {"answer": str(4 + wrong), "correct": not wrong, "output_tokens": 5 + 40 * rank}
                for wrong in [int((index + draw) % (3 + 4 * rank) == 0) for draw in range(6)]
            ],
        }
        for index in range(40)
        for rank, generator in enumerate(generators)
    ]
    log = folder / "log.jsonl"
    SampleLog.from_records(records, {generator.name: generator for generator in generators}).write(log)
    path = folder / "policy"
    command = ["train", os.fspath(log), "--out", os.fspath(path), "--trials", "2", "--test-fraction", "0"]
    assert main(command) == 0
    return path


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pair")
    return bundle_of(folder, Generator(name="small"), Generator(name="large", prompt_template="cot"))


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.txt"
    path.write_text("".join(f"What is {index} + 4 - {index} ?\n" for index in range(6)))
    return path


def run(bundle: Path, prompts: Path, out: Path, server: FakeOpenAIServer, *more: str) -> int:
    options = ["--backend", "openai", "--base-url", server.url, "--single", "--price", "1e-9", "--json"]
    return main(["run", os.fspath(bundle), os.fspath(prompts), "--out", os.fspath(out), *options, *more])


def test_a_finished_output_is_not_paid_for_again(
    tmp_path: Path, prompts: Path, server: FakeOpenAIServer, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = bundle_of(tmp_path, Generator(name="tiny", model="recorded"))
    out = tmp_path / "out.jsonl"
    assert run(bundle, prompts, out, server, "--model", "served") == 0
    assert {body["model"] for body in server.requests} == {"served"}
    assert "draws from served; its log names recorded" in capsys.readouterr().err
    before, drawn = out.read_bytes(), len(server.requests)
    assert run(bundle, prompts, out, server, "--model", "served") == 2
    assert "is complete" in capsys.readouterr().err
    assert out.read_bytes() == before and len(server.requests) == drawn
    out.unlink()
    server.requests.clear()
    assert run(bundle, prompts, out, server) == 0
    assert {body["model"] for body in server.requests} == {"recorded"}


def test_each_generator_gets_its_model_and_template(
    pair: Path,
    tmp_path: Path,
    prompts: Path,
    server: FakeOpenAIServer,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out.jsonl"
    assert run(pair, prompts, out, server, "--model", "one") == 2
    assert "--model small=MODEL --model large=MODEL" in capsys.readouterr().err
    both = ("--model", "small=s", "--model", "large=l")
    assert run(pair, prompts, out, server, *both) == 2
    assert "without {prompt}" in capsys.readouterr().err
    assert run(pair, prompts, out, server, *both, "--template", "large=Think. {prompt}") == 0
    assert server.requests and not [body for body in server.requests if body["model"] not in ("s", "l")]
    for body in server.requests:
        text = body["messages"][0]["content"]
        assert text.startswith("Think. What is" if body["model"] == "l" else "What is")
    outcomes = [json.loads(line) for line in out.read_bytes().splitlines()]
    assert len(outcomes) == 6


def test_a_log_is_replayed_with_whatever_template_it_records(pair: Path, tmp_path: Path) -> None:
    log = os.fspath(pair.parent / "log.jsonl")
    command = ["run", os.fspath(pair), log, "--out", os.fspath(tmp_path / "out.jsonl"), "--budget", "30"]
    assert main([*command, "--backend", "replay", "--log", log]) == 0


def test_collecting_takes_one_model(prompts: Path, tmp_path: Path, server: FakeOpenAIServer) -> None:
    options = [
        "--backend",
        "openai",
        "--base-url",
        server.url,
        "--model",
        "a",
        "--model",
        "b",
        "--samples",
        "2",
    ]
    assert main(["collect", os.fspath(prompts), "--out", os.fspath(tmp_path / "log.jsonl"), *options]) == 2
    assert not server.requests


def test_a_template_that_replaces_the_prompt_is_refused_by_every_live_backend() -> None:
    generator = Generator(name="g", prompt_template="cot")
    request = SampleRequest(prompt=Prompt(text="6*7?"), generator=generator, n=1, seed=0)
    with pytest.raises(InvalidInputError, match="in place of each prompt"):
        check_request(request)
    check_request(request, sent=False)
    messages = ({"role": "user", "content": "6*7?"},)
    check_request(SampleRequest(prompt=Prompt(messages=messages), generator=generator, n=1, seed=0))


def test_models_and_templates_by_name() -> None:
    cot, direct = (Generator(name=name, model="m", prompt_template="{prompt}") for name in ("cot", "direct"))
    generators = {"cot": cot, "direct": direct}
    assert Counter(g.model for g in with_models(generators, {"": "x=y"}).values()) == {"x=y": 2}
    assert with_models(generators, {"cot": "n"})["direct"].model == "m"
    assert with_models(generators, {"cot": "n", "": "o"})["direct"].model == "o"
    assert with_templates(generators, {"": "Q: {prompt}"}, check=True)["cot"].prompt_template == "Q: {prompt}"
    assert named_values(["cot=a=b", "c"], generators, option="--model") == {"cot": "a=b", "": "c"}
    with pytest.raises(InvalidInputError, match="twice for cot"):
        named_values(["cot=a", "cot=b"], generators, option="--model")
    with pytest.raises(InvalidInputError, match=r"without \{prompt\}"):
        with_templates(generators, {"direct": "short"}, check=True)
