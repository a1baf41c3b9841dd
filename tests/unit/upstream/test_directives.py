"""Reading directives out of prompts."""

import pytest

from tests.upstream.directives import SYNTAX, Directive, DirectiveError, parse, without_directives
from tests.upstream.performance import ACTS


def test_every_directive_can_be_read_and_played() -> None:
    assert set(SYNTAX) == set(ACTS)


def test_directives_keep_their_order() -> None:
    found = parse("one [[sleep 0.5]] two [[status 429 retry-after=1]]")
    assert found == [Directive("sleep", (0.5,)), Directive("status", (429,), {"retry-after": "1"})]


def test_the_rest_of_the_prompt_stays() -> None:
    assert without_directives("say hi [[sleep 1]]") == "say hi"


def test_a_prompt_without_directives_has_none() -> None:
    assert parse("a [list] of [[1, 2], [3]] and [[Upper]]") == []


@pytest.mark.parametrize("arguments", ["{}", '{"a": [[1]]}', '{"a": {"b": "]"}}'])
def test_json_may_hold_brackets(arguments: str) -> None:
    (tool, then) = parse(f"[[tool look_up {arguments}]] [[finish stop]]")
    assert (tool.name, tool.args[0]) == ("tool", "look_up")
    assert then == Directive("finish", ("stop",))


def test_json_body() -> None:
    assert parse('[[json {"choices": [[]]}]]') == [Directive("json", ({"choices": [[]]},))]


@pytest.mark.parametrize("text", ["two words", "", 'it\'s = "odd"', "x=1 y"])
def test_a_text_is_taken_whole(text: str) -> None:
    assert parse(f"[[refusal {text}]] [[cached 3]]") == [Directive("refusal", (text,)), Directive("cached", (3,))]


@pytest.mark.parametrize(
    "text",
    [
        "[[slep 1]]",
        "[[sleep]]",
        "[[sleep soon]]",
        "[[sleep 1 2]]",
        "[[sleep 1 fast=yes]]",
        "[[tool look_up]]",
        "[[tool look_up {1}]]",
        "[[fail-first 2 by=magic]]",
        "[[status 'unclosed]]",
    ],
)
def test_a_wrong_directive_is_named(text: str) -> None:
    with pytest.raises(DirectiveError) as raised:
        parse(f"prompt {text}")
    assert text in str(raised.value)
