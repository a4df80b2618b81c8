"""Where tasks and generators come from, and how backends are named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from difficulty.errors import InvalidInputError, InvalidPromptError
from difficulty.generator import Generator
from difficulty.prompt import Prompt
from planner.backends.specs import BackendSpec
from planner.collection.gold import gold_of
from planner.collection.tasks import GymGrader, read_tasks
from planner.files.generators import read_generators


def write(path: Path, *records: object) -> str:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(path)


def test_gsm8k_and_math_give_questions_and_final_answers(tmp_path: Path) -> None:
    gsm8k = write(
        tmp_path / "gsm8k-test.jsonl",
        {"question": "How many?", "answer": "3 * 400 = <<3*400=1200>>1200\n#### 1,200"},
        {"question": "And now?", "answer": "#### 7"},
    )
    tasks = read_tasks(gsm8k)
    assert [(prompt.id, prompt.gold) for prompt in tasks.prompts] == [
        ("gsm8k-test-0", "1,200"),
        ("gsm8k-test-1", "7"),
    ]
    assert tasks.grader is None and tasks.name == "gsm8k-test.jsonl"
    math = write(
        tmp_path / "math.jsonl",
        {"problem": "x?", "solution": r"so $\boxed{\frac{1}{2}}$", "level": "3", "unique_id": "test/1"},
        {"problem": "y?", "solution": "long\nproof", "answer": "42", "unique_id": "test/2"},
    )
    tasks = read_tasks(math)
    assert [(prompt.id, prompt.gold) for prompt in tasks.prompts] == [
        ("test/1", r"\frac{1}{2}"),
        ("test/2", "42"),
    ]
    assert tasks.unused_fields == ("level",)
    assert len(read_tasks(math, size=1).prompts) == 1


def test_right_answers_of_questions_stand_under_any_usual_name(tmp_path: Path) -> None:
    table = tmp_path / "q.csv"
    table.write_text("question,expected,level\nHow many?,7 of them,3\nAnd now?,,4\n")
    tasks = read_tasks(str(table))
    assert [prompt.gold for prompt in tasks.prompts] == ["7 of them", None]
    assert tasks.unused_fields == ("level",)
    named = write(tmp_path / "n.jsonl", {"question": "x?", "target": 12, "answer": "so #### 3"})
    assert [prompt.gold for prompt in read_tasks(named).prompts] == ["3"]
    listed = write(tmp_path / "l.jsonl", {"question": "x?", "gold": {"value": 3}})
    with pytest.raises(InvalidPromptError, match="line 1: gold must be a text or a number"):
        read_tasks(listed)


def test_a_solution_without_a_final_answer_is_an_error_with_its_line(tmp_path: Path) -> None:
    path = write(
        tmp_path / "m.jsonl", {"problem": "x?", "answer": "7"}, {"problem": "y?", "solution": "a\nb"}
    )
    with pytest.raises(InvalidPromptError, match=r"line 2: no final answer found in 'a"):
        read_tasks(path)


def test_ids_stand_under_any_usual_name(tmp_path: Path) -> None:
    table = tmp_path / "q.csv"
    table.write_text("Question ID,question,answer,level\nq7,How many?,7,3\nq8,And now?,8,4\n")
    tasks = read_tasks(str(table))
    assert [(prompt.id, prompt.gold) for prompt in tasks.prompts] == [("q7", "7"), ("q8", "8")]
    assert tasks.unused_fields == ("level",)
    whole = write(tmp_path / "w.jsonl", {"question": "x?", "question_id": 3.0}, {"question": "y?"})
    assert [prompt.id for prompt in read_tasks(whole).prompts] == ["3", "w-1"]


def test_a_table_of_samples_is_no_table_of_questions(tmp_path: Path) -> None:
    table = tmp_path / "samples.csv"
    table.write_text("Question ID,question,is_correct\nq7,How many?,true\nq7,How many?,false\n")
    with pytest.raises(InvalidPromptError, match=r"line 3: the id 'q7' is given twice.*planner import"):
        read_tasks(str(table))


def test_plain_prompt_files_are_left_as_they_are(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", {"id": "a", "prompt": "1 + 1?", "gold": 2, "colour": "red"})
    tasks = read_tasks(path)
    assert tasks.prompts == (Prompt(id="a", text="1 + 1?", gold="2"),)
    assert tasks.unused_fields == ("colour",)
    with pytest.raises(InvalidPromptError, match="cannot read the file"):
        read_tasks(str(tmp_path / "missing.jsonl"))
    with pytest.raises(InvalidInputError, match="size must be"):
        read_tasks(path, size=0)


@pytest.mark.parametrize(("answer", "gold"), [("####", None), ("", None), ("x" * 300, None), (" B ", "B")])
def test_final_answers(answer: str, gold: str | None) -> None:
    assert gold_of(answer) == gold


def test_reasoning_gym_tasks_bring_their_own_checker() -> None:
    pytest.importorskip(
        "reasoning_gym", reason="reasoning-gym is not installed: pip install 'ttc-planner[gym]'"
    )
    tasks = read_tasks("reasoning-gym:chain_sum", size=5, seed=3, config='{"max_terms": 2}')
    assert tasks.prompts[4].id == "chain_sum-4" and isinstance(tasks.grader, GymGrader)
    assert tasks == read_tasks("reasoning-gym:chain_sum", size=5, seed=3, config='{"max_terms": 2}')
    right = tasks.prompts[4].gold
    marks = [tasks.grader.grade(tasks.prompts[4], answer) for answer in (right, "no", None)]
    assert marks == [True, False, False]
    assert tasks.grader.grade(Prompt(id="elsewhere-4"), right) is None
    for name, config in (("nonsense", ""), ("chain_sum", '{"colour": 1}'), ("chain_sum", "[]")):
        with pytest.raises(InvalidInputError):
            read_tasks(f"reasoning-gym:{name}", config=config)


def test_generators_come_from_json_and_toml(tmp_path: Path) -> None:
    fields = {"model": "qwen", "temperature": 0.8, "max_output_tokens": 64}
    wanted = {"qwen/cot": Generator(name="qwen/cot", model="qwen", temperature=0.8, max_output_tokens=64)}
    plain, wrapped, toml = (tmp_path / name for name in ("a.json", "b.json", "c.toml"))
    plain.write_text(json.dumps({"qwen/cot": fields}))
    wrapped.write_text(json.dumps({"generators": {"qwen/cot": fields}}))
    toml.write_text('["qwen/cot"]\nmodel = "qwen"\ntemperature = 0.8\nmax_output_tokens = 64\n')
    assert read_generators(plain) == read_generators(wrapped) == read_generators(toml) == wanted


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "neither JSON"),
        ("[]", "object of generators"),
        ("{}", "object of generators"),
        ('{"a": {"colour": "red"}}', "unknown field 'colour'"),
        ('{"a": {"temperature": -1}}', "temperature must be"),
    ],
)
def test_generators_that_cannot_be_meant_are_refused(content: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "generators.json"
    path.write_text(content)
    with pytest.raises(InvalidInputError, match=said):
        read_generators(path)


def test_a_model_in_this_process_stands_for_one_model_only() -> None:
    spec = BackendSpec(kind="transformers", model="folder")
    spec.check([Generator(name="a", model="x"), Generator(name="b")])
    with pytest.raises(InvalidInputError, match="the models x, y; the transformers backend holds one"):
        spec.check([Generator(name="a", model="x"), Generator(name="b", model="y")])
    assert (spec.driver, BackendSpec(kind="replay", log="x").driver) == ("lockstep", "lockstep")


def test_tables_of_questions_are_tasks_as_their_lines_are(tmp_path: Path) -> None:
    lines = write(tmp_path / "sums.jsonl", {"question": "How many?", "answer": "2 + 2\n#### 4", "level": 3})
    table = tmp_path / "sums.csv"
    table.write_text('question,answer,level\n"How many?","2 + 2\n#### 4",3\n')
    assert read_tasks(str(table)).prompts == read_tasks(lines).prompts
    assert read_tasks(str(table)).unused_fields == ("level",)


def test_a_parquet_table_of_questions_has_the_ids_and_answers_of_its_csv(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow", reason="Parquet needs pyarrow")
    frame = pandas.DataFrame({"question": ["1 + 1?", "2 + 2?"], "answer": ["2", "#### 4"], "level": [1, 2]})
    frame.to_csv(tmp_path / "sums.csv", index=False)
    frame.to_parquet(tmp_path / "sums.parquet")
    found = [read_tasks(str(tmp_path / name)) for name in ("sums.csv", "sums.parquet")]
    assert [prompt.gold for prompt in found[1].prompts] == ["2", "4"]
    assert found[0].prompts == found[1].prompts
    assert found[1].unused_fields == ("level",)
