"""Files of rollouts in the data loaders of the trainers themselves, where these are installed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from difficulty import Prompt
from planner.exports.frames import rollouts_frame

pytestmark = pytest.mark.filterwarnings("ignore")  # of the trainers, which are not ours

PROMPTS = [
    Prompt(id=f"p{number}", text=f"What is {number} + 1?", gold=str(number + 1)) for number in range(6)
]
N = [4, 8, 4, 0, 8, 4]
TEMPLATE = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}<assistant>"


@pytest.fixture
def tokenizer() -> Any:
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    words = {"[UNK]": 0, "<user>": 1, "<assistant>": 2, "What": 3, "is": 4}
    core = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="[UNK]"))
    core.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made = transformers.PreTrainedTokenizerFast(tokenizer_object=core, unk_token="[UNK]", pad_token="[UNK]")
    made.chat_template = TEMPLATE
    return made


@pytest.fixture
def files(tmp_path: Path) -> dict[int, Path]:
    """One file for each number of rollouts, since every trainer takes one number a run."""
    pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = rollouts_frame(PROMPTS, N)
    found = {}
    for n, part in frame.groupby("rollout.n"):
        found[int(n)] = tmp_path / f"rollouts-{n}.parquet"
        part.to_parquet(found[int(n)])
    return found


def test_verl_reads_the_prompts(files: dict[int, Path], tokenizer: Any, tmp_path: Path) -> None:
    module = pytest.importorskip("verl.utils.dataset.rl_dataset", exc_type=ImportError)
    config = pytest.importorskip("omegaconf").OmegaConf.create(
        {"cache_dir": str(tmp_path / "cache"), "filter_overlong_prompts_workers": 1}
    )
    assert sorted(files) == [4, 8]
    dataset = module.RLHFDataset([str(files[8])], tokenizer, config)
    rows = [dataset[place] for place in range(len(dataset))]
    assert [row["raw_prompt"][0]["content"] for row in rows] == ["What is 1 + 1?", "What is 4 + 1?"]
    assert [row["reward_model"]["ground_truth"] for row in rows] == ["2", "5"]
    assert [(row["index"], row["rollout.n"]) for row in rows] == [(1, 8), (4, 8)]
    assert module.collate_fn(rows)["data_source"].tolist() == ["ttc-planner"] * 2


def test_trl_reads_the_prompts(files: dict[int, Path], tokenizer: Any) -> None:
    datasets = pytest.importorskip("datasets")
    trl = pytest.importorskip("trl.data_utils", exc_type=ImportError)
    dataset = datasets.Dataset.from_parquet(str(files[4]))
    assert trl.is_conversational(dataset[0])
    texts = [trl.maybe_apply_chat_template(row, tokenizer)["prompt"] for row in dataset]
    assert texts[0] == "<user>What is 0 + 1?<assistant>" and len(texts) == 3
    assert dataset["answer"][:] == ["1", "3", "6"]  # what a reward function gets beside the completions


def test_openrlhf_reads_the_prompts(files: dict[int, Path], tokenizer: Any) -> None:
    datasets = pytest.importorskip("datasets")
    module = pytest.importorskip("openrlhf.datasets.prompts_dataset", exc_type=ImportError)
    data = SimpleNamespace(input_key="prompt", label_key="answer", apply_chat_template=True)
    strategy = SimpleNamespace(args=SimpleNamespace(data=data), is_rank_0=lambda: True)
    dataset = module.PromptDataset(datasets.Dataset.from_parquet(str(files[8])), tokenizer, strategy)
    assert [(prompt, label) for _, prompt, label, _ in (dataset[0], dataset[1])] == [
        ("<user>What is 1 + 1?<assistant>", "2"),
        ("<user>What is 4 + 1?<assistant>", "5"),
    ]
