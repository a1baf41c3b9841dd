"""Bodies that two readers could read differently are refused; the rows of bad inputs that a body alone decides."""

import io
import json
import tracemalloc
from typing import Any

import pytest
from flask import Request
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.datastructures import Headers
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.test import EnvironBuilder

from app.api.body import read_object
from app.api.errors import UnsupportedMediaTypeError
from app.domain.errors import InvalidRequestError

DEPTH = 64
CANARY = "canary-2e88"
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


def request(body: bytes, content_type: str | None = "application/json", **headers: str) -> Request:
    builder = EnvironBuilder(method="POST", data=body, content_type=content_type, headers=Headers(headers))
    return Request(builder.get_environ())


def read(body: bytes | str) -> dict[str, Any]:
    return read_object(request(body if isinstance(body, bytes) else body.encode()), max_depth=DEPTH)


def refused(body: bytes | str) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as raised:
        read(body)
    assert CANARY not in raised.value.message
    assert len(raised.value.message) < 200
    return raised.value


@pytest.mark.parametrize(
    ("content_type", "headers"),
    [
        (None, {}),
        ("text/plain", {}),
        ("text/plain; charset=latin-1", {}),
        ("text/html; charset=utf-8", {}),
        ("text/plain; charset=utf-8", {"Content-Encoding": "gzip"}),
        ("application/x-www-form-urlencoded", {}),
        ("application/jsonp", {}),
        ("application/json, text/plain", {}),
        ("application/json", {"Content-Encoding": "gzip"}),
        ("application/json", {"Content-Encoding": "br"}),
    ],
)
def test_only_plain_json_is_taken(content_type: str | None, headers: dict[str, str]) -> None:
    with pytest.raises(UnsupportedMediaTypeError):
        read_object(request(b"{}", content_type, **headers), max_depth=DEPTH)


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "APPLICATION/JSON", "text/plain;charset=UTF-8"]
)
def test_ways_to_write_the_content_type(content_type: str) -> None:
    assert read_object(request(b"{}", content_type), max_depth=DEPTH) == {}
    assert read_object(request(b"{}", content_type, **{"Content-Encoding": "identity"}), max_depth=DEPTH) == {}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("", "invalid_json"),
        (" \n ", "invalid_json"),
        ('{"a": 1', "invalid_json"),
        (f'{{"a": "{CANARY}', "invalid_json"),
        ('{"a": 1} {}', "invalid_json"),
        ('{"a": 1}x', "invalid_json"),
        ('{"a": 1,}', "invalid_json"),
        ("{'a': 1}", "invalid_json"),
        ('{"a": 01}', "invalid_json"),
        ('{"a": +1}', "invalid_json"),
        ('{"a": .5}', "invalid_json"),
        ('{"a": "line\nbreak"}', "invalid_json"),
        ('{"a": "\\x41"}', "invalid_json"),
        ('{"a": "\\ud8"}', "invalid_json"),
        ('{"a": NaN}', "invalid_json"),
        ('{"a": Infinity}', "invalid_json"),
        ('{"a": -Infinity}', "invalid_json"),
        ("NaN", "invalid_json"),
        ("// c\n{}", "invalid_json"),
        ("null", "invalid_type"),
        ("[]", "invalid_type"),
        (f'"{CANARY}"', "invalid_type"),
        ("1", "invalid_type"),
        ("true", "invalid_type"),
        (b'{"a": "\xff"}', "invalid_encoding"),
        (b'{"a": "\xc0\xaf"}', "invalid_encoding"),
        (b'{"a": "\xed\xa0\x80"}', "invalid_encoding"),
        (b"\xef\xbb", "invalid_encoding"),
        ('{"a": "\0"}', "invalid_encoding"),
        (json.dumps({"a": CANARY}).encode("utf-16"), "invalid_encoding"),
        (json.dumps({"a": CANARY}).encode("utf-16-le"), "invalid_encoding"),
        (json.dumps({"a": CANARY}).encode("utf-16-be"), "invalid_encoding"),
        (json.dumps({"a": CANARY}).encode("utf-32"), "invalid_encoding"),
        (json.dumps({"a": "é"}, ensure_ascii=False).encode("latin-1"), "invalid_encoding"),
        (f'{{"{CANARY}": 1, "{CANARY}": 1}}', "duplicate_key"),
        ('{"a": [{"b": {"c": 1, "d": 2, "c": 1}}]}', "duplicate_key"),
        # the same key, written in two ways
        ('{"a": 1, "\\u0061": 2}', "duplicate_key"),
        ('{"a": ' + "9" * 5_000 + "}", "invalid_number"),
        ('{"a": -' + "9" * 1_000_000 + "}", "invalid_number"),
        ('{"a": 1e999}', "invalid_number"),
        ('{"a": -1e999}', "invalid_number"),
        ('{"a": ' + "9" * 400 + ".0}", "invalid_number"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_refused_body(body: bytes | str, code: str) -> None:
    error = refused(body)
    assert (error.error_code, error.param) == (code, None)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        ("{}", {}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (' \r\n\t{"a": [1, -0.5, 1e3, true, null]} ', {"a": [1, -0.5, 1000.0, True, None]}),
        ('{"a": 1e-999}', {"a": 0.0}),
        ('{"a": ' + "9" * 40 + "}", {"a": 10**40 - 1}),
        ('{"a": 1, "A": 2}', {"a": 1, "A": 2}),
        (
            '{"a": "\\ud83d\\ude00 \U0001f600 \u202e \\u001b[31m \\r\\n"}',
            {"a": "\U0001f600 \U0001f600 \u202e \x1b[31m \r\n"},
        ),
    ],
)
def test_an_accepted_body(body: bytes | str, value: dict[str, Any]) -> None:
    assert read(body) == value


def nested(depth: int) -> str:
    """An object with lists inside, `depth` levels in all."""
    return '{"a":' + "[" * (depth - 1) + "]" * (depth - 1) + "}"


@pytest.mark.parametrize("depth", [DEPTH + 1, 1_000, 100_000])
@pytest.mark.parametrize("ending", ["", CANARY])
def test_too_deep(depth: int, ending: str) -> None:
    assert refused(nested(depth) + ending).error_code == "json_too_deep"
    assert refused("[" * depth).error_code == "json_too_deep"
    assert refused('{"a":' * depth + "1" + "}" * depth).error_code == "json_too_deep"


def test_just_deep_enough() -> None:
    assert read(nested(DEPTH))


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100,
        "}" * 100 + "{" * 100,
        '"' + "[" * 100,
        '\\"' + "{" * 100,
        "\\\\" * 3 + "[{" * 100,
        '\\\\\\"' + "[" * 100,
    ],
)
def test_brackets_in_strings_are_no_depth(text: str) -> None:
    assert read(json.dumps({text: [text, {"b": text}]}))


def test_many_shallow_brackets_are_no_depth() -> None:
    assert read('{"a": [' + ",".join(["{}", "[]"] * 1_000) + "]}")


@given(st.recursive(texts | st.none(), lambda inner: st.lists(inner) | st.dictionaries(texts, inner)))
def test_depth_is_what_it_is(value: Any) -> None:
    def depth(of: Any) -> int:
        inside = of.values() if isinstance(of, dict) else of if isinstance(of, list) else None
        return 0 if inside is None else 1 + max(map(depth, inside), default=0)

    body = json.dumps({"value": value}, ensure_ascii=False).encode()
    levels = 1 + depth(value)
    assert read_object(request(body), max_depth=levels)
    if levels > 1:
        with pytest.raises(InvalidRequestError) as raised:
            read_object(request(body), max_depth=levels - 1)
        assert raised.value.error_code == "json_too_deep"


@pytest.mark.parametrize("long", ["x" * 2_000_000, "\\n" * 1_000_000, "[{" * 1_000_000])
def test_a_long_string_costs_no_multiple_of_its_memory(long: str) -> None:
    body = f'{{"a": "{long}", "b": {"[" * 40 + "]" * 40}, "c": {"[" * 40 + "]" * 40}}}'
    tracemalloc.start()
    try:
        read(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10 * len(body)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ('{"a": "x\\u0000"}', "a"),
        ('{"a": {"b": ["ok", {"c": "\\u0000"}]}}', "a.b[1].c"),
        ('{"a": [["\\u0000"]]}', "a[0][0]"),
        ('{"a": "\\ud800"}', "a"),
        ('{"a": "\\udc00\\ud800"}', "a"),
        ('{"a": "\\ud83d \\ude00"}', "a"),
        ('{"inputs": [{"texts": [{"text": "\\udfff"}]}]}', "inputs[0].texts[0].text"),
        # a bad key is not repeated: its object is named
        ('{"\\u0000": 1}', "body"),
        ('{"a": {"\\ud800": "\\u0000"}}', "a"),
        ('{"a": [1, {"\\u0000x": 1}]}', "a[1]"),
    ],
)
def test_nul_and_half_surrogates_are_refused_where_they_are(body: str, path: str) -> None:
    error = refused(body)
    assert (error.error_code, error.param) == ("invalid_unicode", path)


def test_an_escaped_backslash_is_no_escape() -> None:
    assert read('{"a": "\\\\u0000"}') == {"a": "\\u0000"}


@given(st.dictionaries(texts, texts | st.integers(-(10**38), 10**39) | st.floats(-1e300, 1e300) | st.booleans()))
def test_what_python_writes_is_read_back(value: dict[str, Any]) -> None:
    assert read(json.dumps(value)) == value
    assert read(json.dumps(value, ensure_ascii=False)) == value


def sent_in_full(length: int, *, announced: bool) -> Request:
    """An object and spaces, `length` bytes in all, with a Content-Length or as gunicorn hands on a chunked body."""
    body = b"{}".ljust(length)
    environ = EnvironBuilder(method="POST", data=body, content_type="application/json").get_environ()
    if not announced:
        del environ["CONTENT_LENGTH"]
    sent = Request(environ | {"wsgi.input_terminated": True, "wsgi.input": io.BytesIO(body)})
    sent.max_content_length = CAP + 1
    return sent


CAP = 100_000


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_over_the_cap(announced: bool) -> None:
    assert read_object(sent_in_full(CAP, announced=announced), max_depth=DEPTH) == {}
    for length in (CAP + 1, CAP + 2, 3 * CAP):
        with pytest.raises(RequestEntityTooLarge):
            read_object(sent_in_full(length, announced=announced), max_depth=DEPTH)
