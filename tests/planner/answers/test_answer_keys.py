"""What samples vote with: JSON values and fields, calls of tools, and groups of texts that say the same."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from difficulty.errors import InvalidInputError
from planner.answers.clusters import Clusters, SemanticAnswer, cluster_keys
from planner.answers.likeness import LexicalLikeness
from planner.answers.rules import JsonFields, extractor_named
from planner.answers.tool_calls import calls_text

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.text("ab1 ", max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("xyz", max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)


def call(name: str, arguments: object) -> dict[str, object]:
    """One call as servers send it."""
    return {"id": "c", "type": "function", "function": {"name": name, "arguments": arguments}}


def test_json_values_are_equal_whatever_their_order_and_spelling() -> None:
    rule = extractor_named("json")
    first = rule.extract('{"n": 42.0, "city": " Paris", "tags": ["a", "b"]}', "stop")
    second = rule.extract('Sure!\n```json\n{"city":"Paris","tags":["a","b"],"n":42}\n```', "stop")
    assert first == second == '{"city": "Paris", "n": 42, "tags": ["a", "b"]}'
    assert rule.extract('{"n": 42, "city": "Paris", "tags": ["b", "a"]}', "stop") != first
    assert rule.extract(' [1, {"a": 2.0}] ', "stop") == '[1, {"a": 2}]'
    assert rule.extract("no object", "stop") is None
    assert rule.extract('{"n": 42', "stop") is None
    assert rule.extract('{"n": 42}', "length") is None
    assert rule.equal('{"a": 1.0, "b": "x"}', '{"b": "x", "a": 1}')


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.dictionaries(st.text("xyz", min_size=1, max_size=2), VALUES, min_size=1, max_size=4))
def test_the_way_of_writing_an_object_is_a_fixed_point(value: dict[str, object]) -> None:
    rule = extractor_named("json")
    mixed = dict(reversed(list(value.items())))
    written = rule.extract(json.dumps(value), "stop")
    assert written is not None
    assert rule.extract(json.dumps(mixed, indent=1), "stop") == written
    assert rule.extract(written, "stop") == written


def test_several_fields_vote_together() -> None:
    rule = extractor_named("json:city,size.n")
    assert rule == JsonFields(fields=("city", "size.n"))
    one = rule.extract('{"city": "Paris", "size": {"n": 2.0}, "why": "big"}', "stop")
    assert one == rule.extract('{"why": "other words", "size": {"n": 2}, "city": "Paris"}', "stop")
    assert one == '{"city": "Paris", "size.n": 2}'
    assert rule.extract('{"city": "Paris"}', "stop") == '{"city": "Paris", "size.n": null}'
    assert rule.extract('{"why": 1}', "stop") is None
    for wrong in ("json:a,a", "json:a,"):
        with pytest.raises(InvalidInputError, match="different names"):
            extractor_named(wrong)


def test_calls_are_equal_by_name_and_arguments() -> None:
    rule = extractor_named("tool_calls")
    first = rule.extract(calls_text([call("add", '{"a": 1, "b": 2.0}'), call("now", "")]), "stop")
    assert first == rule.extract(
        "I look it up. " + calls_text([call("now", "{}"), call("add", {"b": 2, "a": 1})]), "stop"
    )
    assert first == '[{"arguments": {"a": 1, "b": 2}, "name": "add"}, {"arguments": {}, "name": "now"}]'
    bare = rule.extract('{"name": "now", "parameters": {}}', "stop")
    assert bare == rule.extract(calls_text([call("now", "{}")]), "stop")
    # Texts inside of arguments are programs and queries: they count as they are.
    assert rule.extract(calls_text([call("run", '{"code": "x "}')]), "stop") != rule.extract(
        calls_text([call("run", '{"code": "x"}')]), "stop"
    )


@pytest.mark.parametrize(
    "text",
    [
        "it is 42",
        "<tool_call>oops</tool_call>",
        calls_text([call("add", "{broken")]),
        calls_text([call("", "{}")]),
        calls_text([call("add", "{}"), "none"]),
        "<tool_call></tool_call>",
        "[]",
        "{}",
    ],
)
def test_what_is_no_call_abstains(text: str) -> None:
    assert extractor_named("tool_calls").extract(text, "stop") is None


def test_the_first_rule_that_finds_something_counts() -> None:
    rule = extractor_named("tool_calls|json:a|regex:x|y")
    assert rule.extract(calls_text([call("now", "{}")]), "stop") == '[{"arguments": {}, "name": "now"}]'
    assert rule.extract('{"a": 3.0}', "stop") == "3"
    assert rule.extract("a y", "stop") == "y"
    assert rule.extract("a y", "length") is None
    for wrong in ("last_number|", "last_number|nothing", "clusters:much", "clusters:0", "json:"):
        with pytest.raises(InvalidInputError):
            extractor_named(wrong)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Paris", "The capital of France is Paris."),
        ("It happens since the Earth's axis is tilted.", "The tilt of the Earth's axis makes it happen"),
        ("Yes, you can return it within 30 days.", "You can return it within 30 days"),
        ("Restart the router and try again", "Try restarting the router."),
        ("42", "The answer is 42."),
        ("1,200 km", "1200 km"),
        ("Die Hauptstadt ist Bern", "Bern ist die Hauptstadt"),
    ],
)
def test_texts_that_say_the_same_are_alike(first: str, second: str) -> None:
    likeness = LexicalLikeness()
    assert likeness.alike(first, second)
    assert likeness.alike(second, first)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Paris", "Lyon"),
        ("It is 41", "It is 42"),
        ("You can return it within 30 days", "You can return it within 14 days"),
        ("You can return it", "You cannot return it"),
        ("The statement is true", "The statement is false"),
        ("It is safe", "It isn't safe"),
        ("5 apples", "apples"),
        ("apples", "5 apples"),
        ("", "Paris"),
        ("Restart the router", "Call the support team"),
    ],
)
def test_texts_that_differ_are_not(first: str, second: str) -> None:
    likeness = LexicalLikeness()
    assert not likeness.alike(first, second)
    assert not likeness.alike(second, first)


def test_groups_take_texts_in_turn_and_equal_texts_share_one() -> None:
    assert cluster_keys(["Lyon", "It is Paris.", "paris", None, "Lyon!", "Paris"]) == [
        "Lyon",
        "It is Paris.",
        "It is Paris.",
        None,
        "Lyon",
        "It is Paris.",
    ]

    class Never:
        def alike(self, first: str, second: str) -> bool:
            return False

    groups = Clusters(likeness=Never())
    assert [groups.key(text) for text in ("a", "b", "a")] == ["a", "b", "a"]


def test_a_rule_by_groups_is_fresh_for_each_prompt() -> None:
    rule = extractor_named("clusters:0.7|last_number")
    one, other = rule.fresh(), rule.fresh()
    assert one.extract("It is Paris.", "stop") == one.extract("paris", "stop") == "It is Paris"
    assert other.extract("paris", "stop") == "paris"
    assert rule.extract("It is Paris.", "stop") == "It is Paris"
    assert rule.equal("It is Paris", "paris")
    assert not SemanticAnswer().equal(None, "paris")
    assert SemanticAnswer().extract(" ", "stop") is None


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.text(max_size=20), max_size=6))
def test_whatever_texts_hold_groups_are_total(texts: list[str]) -> None:
    keys = cluster_keys(texts)
    assert all(key in texts for key in keys)
    assert cluster_keys(texts) == keys
    likeness = LexicalLikeness()
    for first in texts:
        for second in texts:
            assert likeness.alike(first, second) == likeness.alike(second, first)
