"""Prompts from files: forms, ids, and what is said of bad ones."""

import gzip
from collections.abc import Callable
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from difficulty.errors import InvalidLogError, InvalidPromptError
from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog
from planner.files.prompts import Form, PromptFile, read_prompts

Read = Callable[..., PromptFile]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Read what a file of these bytes holds."""

    def read(content: bytes, form: Form = "auto") -> PromptFile:
        (tmp_path / "file").write_bytes(content)
        return read_prompts(tmp_path / "file", form=form)

    return read


def test_json_lines_keep_ids_groups_and_gold(read: Read) -> None:
    found = read(
        b'{"id": "a", "prompt": "1 + 1?", "group": "sums", "gold": 2}\n\n'
        b'{"prompt_id": 7, "text": "2 + 2?"}\n',
    )
    first, second = found.prompts
    assert (first.id, first.text, first.group, first.gold) == ("a", "1 + 1?", "sums", "2")
    assert (second.id, second.text, second.group) == ("7", "2 + 2?", "7")
    assert found.unused_fields == ()


def test_messages_make_a_prompt(read: Read) -> None:
    line = b'{"messages": [{"role": "user", "content": "hello"}]}'
    assert read(line).prompts[0].content == "hello"


def test_text_lines_are_stripped_and_repeats_are_numbered_in_one_group(read: Read) -> None:
    prompts = read("\ufeffWas ist 1 + 1?\r\n\n  Was ist 1 + 1?\n".encode()).prompts
    assert [prompt.text for prompt in prompts] == ["Was ist 1 + 1?"] * 2
    assert prompts[1].id == f"{prompts[0].id}#2"
    assert prompts[1].group == prompts[0].group


def test_form_text_takes_lines_that_look_like_json(read: Read) -> None:
    assert read(b"{x} is a set?", form="text").prompts[0].text == "{x} is a set?"


def test_fields_that_are_not_used_are_named(read: Read) -> None:
    assert read(b'{"prompt": "x", "level": 3, "dataset": "d"}').unused_fields == (
        "dataset",
        "level",
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no prompt"),
        (b"\n \n", "no prompt"),
        ("\u2028\n\xa0\n".encode(), "no prompt"),
        (b'{"prompt": "x"}\nplain text', "file, line 2: "),
        (b'{"prompt": "x"}\n["y"]', "line 2: must be a JSON object"),
        (b'{"prompt": "x"', "line 1: "),
        (b'{"prompt": 3}', "line 1: "),
        (b'{"prompt": "  "}', "line 1: .*empty"),
        (b'{"id": "a"}', "line 1: give one of"),
        (b'{"prompt": "x", "text": "y"}', "line 1: give one of"),
        (b'{"id": "a", "prompt_id": "b", "text": "y"}', "line 1: give one of"),
        (b'{"id": "a", "prompt": "x"}\n{"id": "a", "prompt": "y"}', "line 2: the id 'a' is given twice"),
        (b"caf\xe9", "line 1: not UTF-8"),
    ],
)
def test_bad_prompts_are_refused_by_file_and_line(content: bytes, said: str, read: Read) -> None:
    with pytest.raises(InvalidPromptError, match=said):
        read(content)


def test_gzip_and_missing_files(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"prompt": "x"}'))
    assert read_prompts(path).prompts[0].text == "x"
    path.write_bytes(gzip.compress(b'{"prompt": "x"}')[:-6])
    with pytest.raises(InvalidPromptError, match="truncated or corrupt"):
        read_prompts(path)
    with pytest.raises(InvalidPromptError, match="missing"):
        read_prompts(tmp_path / "missing.jsonl")


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".parquet"])
def test_a_sample_log_gives_its_prompts(tmp_path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow", reason="Parquet needs pyarrow")
    records = [{"prompt_id": i, "prompt": f"{i}?", "generator": "g", "n": 2, "n_correct": 1} for i in "ab"]
    path = tmp_path / f"log{suffix}"
    SampleLog.from_records(records, {"g": Generator(name="g")}).write(path)
    assert [prompt.id for prompt in read_prompts(path).prompts] == ["a", "b"]


def test_a_faulty_sample_log_is_refused_as_one(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"sample_log": 9, "generators": {}}\n')
    with pytest.raises(InvalidLogError):
        read_prompts(path)


def test_a_byte_order_mark_is_no_part_of_a_prompt(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"id": "a", "prompt": "x"}\n\xef\xbb\xbf{"id": "b", "prompt": "y"}\n')
    assert [prompt.text for prompt in read_prompts(path).prompts] == ["x", "y"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"prompt": "x"}'.encode("utf-16"), "prompts.jsonl: the file is UTF-16"),
        (b'{"prompt": "caf\xe9"}', "line 1: not UTF-8 .*LATIN1"),
        (b'[\n{"prompt": "x"}\n]', "a JSON array"),
        (b'[{"prompt": "x"}]', "a JSON array"),
        (b'{"prompt": "x", "meta": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "line 1: .*recursion"),
        (b'{"prompt": "x", "gold": ["42"]}', "line 1: .*gold"),
        (b'{"prompt": "x", "prompt_tokens": -1}', "line 1: .*prompt_tokens"),
        (b'{"prompt": "x", "prompt_tokens": 1' + b"0" * 5000 + b"}", "line 1: .*out of range"),
        (gzip.compress(b'{"prompt": "' + b"x" * 20_000_000 + b'"}'), "unpack to more than"),
        (gzip.compress(b"x\n" * 1_500_000), "1,000,000 prompts"),
    ],
)
def test_files_that_no_one_means_are_refused_by_name(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_bytes(content)
    with pytest.raises(InvalidPromptError, match=said):
        read_prompts(path)


def test_numbers_of_repeats_pass_over_ids_that_are_given(read: Read) -> None:
    first = read(b'{"prompt": "x"}').prompts[0].id
    lines = [b'{"prompt": "x"}', b'{"id": "%s#2", "prompt": "y"}' % first.encode(), b'{"prompt": "x"}']
    assert [prompt.id for prompt in read(b"\n".join(lines)).prompts] == [
        first,
        f"{first}#2",
        f"{first}#3",
    ]


@pytest.mark.parametrize(("name", "comma"), [("p.csv", ","), ("p.tsv", "\t"), ("p.txt", ",")])
def test_a_table_is_never_read_as_lines_of_text(name: str, comma: str, tmp_path: Path) -> None:
    rows = ["id,prompt,gold,level", 'a,"1 + 1?",2,easy', 'b,"2, 3\nor 4?",3,', ",,,"]
    path = tmp_path / name
    path.write_text("\n".join(row if name != "p.tsv" else row.replace(",", "\t") for row in rows) + "\n")
    found = read_prompts(path)
    assert [(prompt.id, prompt.gold) for prompt in found.prompts] == [("a", "2"), ("b", "3")]
    assert found.prompts[1].text == f"2{comma if name == 'p.tsv' else ','} 3\nor 4?"
    assert found.unused_fields == ("level",)


def test_tables_that_hold_no_prompts_are_refused_by_line(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    for content, said in (
        ("id,level\na,3\n", "line 2: give one of"),
        ("id,prompt\n", "no prompt"),
        ("id,prompt\na,x\na,y\n", "line 3: the id 'a' is given twice"),
        ("id,prompt\na,x,y\n", "line 2: the row has 3 cells"),
        ("just a line\n", "this is no table"),
    ):
        path.write_text(content)
        with pytest.raises(InvalidPromptError, match=said):
            read_prompts(path)
    lines = tmp_path / "p.txt"
    lines.write_text("What is a prompt, and what is a question?\n1, 2 or 3?\n")
    assert len(read_prompts(lines).prompts) == 2  # commas make no table


def test_a_table_of_one_column_is_a_table(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text('question\n"1 + 1, or 2?"\n"what, then?"\n')
    assert [prompt.text for prompt in read_prompts(path).prompts] == ["1 + 1, or 2?", "what, then?"]


def test_a_parquet_table_is_read_as_one_and_a_log_as_a_log(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow", reason="Parquet needs pyarrow")
    path = tmp_path / "p.parquet"
    pandas.DataFrame({"question": ["1 + 1?", "2 + 2?"], "answer": [2, 4], "level": [1, 1]}).to_parquet(path)
    found = read_prompts(path)
    assert [(prompt.text, prompt.gold) for prompt in found.prompts] == [("1 + 1?", "2"), ("2 + 2?", "4")]
    assert found.unused_fields == ("level",)
    trainer = [
        {
            "data_source": "sums",
            "prompt": [{"role": "user", "content": f"{n} + 1?"}],
            "reward_model": {"style": "rule", "ground_truth": str(n + 1)},
        }
        for n in range(2)
    ]
    pandas.DataFrame(trainer).to_parquet(path)
    assert [(prompt.content, prompt.gold) for prompt in read_prompts(path).prompts] == [
        ("0 + 1?", "1"),
        ("1 + 1?", "2"),
    ]
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises((InvalidPromptError, InvalidLogError), match=r"p\.parquet"):
        read_prompts(path)


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        (b'id,question\na,"1, 2\nor 3?"\nb,4?\n', ["1, 2\nor 3?", "4?"]),
        (b"id\tquestion\na\t1?\n", ["1?"]),
        (b"What is a prompt, and what is a question?\n1, 2 or 3?\n", None),
    ],
)
def test_a_table_comes_through_a_pipe(
    content: bytes, texts: list[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(content)))
    found = [prompt.text for prompt in read_prompts("-").prompts]
    assert found == (texts or content.decode().splitlines())


def test_prompts_of_messages_may_be_called_prompt(read: Read) -> None:
    line = b'{"prompt": [{"role": "user", "content": "hello"}]}'
    assert read(line).prompts[0].content == "hello"
