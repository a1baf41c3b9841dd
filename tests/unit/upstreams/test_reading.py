"""Counts, log probabilities and JSON as all sorts of servers send them."""

from typing import Any

import pytest

from app.domain.jobs import Usage
from app.domain.requests import JSON
from app.upstreams import reading


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a": [1, 2.5, null]}', {"a": [1, 2.5, None]}),
        ('"é\u2028"'.encode(), "é\u2028"),
        (b"[NaN, Infinity, -Infinity, 1e999, -1e999, 1e-999]", [None, None, None, None, None, 0.0]),
    ],
)
def test_json(body: bytes, value: Any) -> None:
    assert reading.parse(body) == value


@pytest.mark.parametrize("body", [b"", b"{", b"<html>", b'"\xff"', b"{} {}", b"[" + b"9" * 5_000 + b"]"])
def test_what_is_no_json(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        reading.parse(body)


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        ({"in": 1, "out": 2, "total_tokens": 4}, Usage(1, 2, 4)),
        ({"in": 1, "out": 2}, Usage(1, 2, 3)),
        ({"in": 1, "out": 0, "in_details": None, "out_details": []}, Usage(1, 0, 1)),
        ({"in": 1, "out": 2, "in_details": {"cached_tokens": 5}}, Usage(1, 2, 3, cached_tokens=5)),
        ({"in": 1, "out": 2, "out_details": {"reasoning_tokens": 6}}, Usage(1, 2, 3, reasoning_tokens=6)),
        ({"in": 1, "out": 2, "out_details": {"reasoning_tokens": None}}, Usage(1, 2, 3)),
        ({"in": 1}, None),
        ({"in": 1, "out": -1}, None),
        ({"in": "1", "out": 2}, None),
        ({"in": True, "out": 2}, None),
        ({}, None),
        (None, None),
        ([1], None),
    ],
)
def test_usage(told: Any, usage: Usage | None) -> None:
    assert reading.usage(told, input_name="in", output_name="out") == usage


@pytest.mark.parametrize(
    ("told", "entry"),
    [
        ({"token": "é", "logprob": -1.5, "bytes": [1]}, {"token": "é", "logprob": -1.5, "bytes": [1]}),
        ({"token": "é", "logprob": -1}, {"token": "é", "logprob": -1, "bytes": [195, 169]}),
        ({"token": "é", "logprob": None, "bytes": None}, {"token": "é", "logprob": -9999.0, "bytes": [195, 169]}),
        ({}, {"token": "", "logprob": -9999.0, "bytes": []}),
    ],
)
def test_log_probabilities(told: JSON, entry: JSON) -> None:
    assert reading.logprobs([{**told, "top_logprobs": [told]}]) == [{**entry, "top_logprobs": [entry]}]
    assert reading.logprobs([told]) == [{**entry, "top_logprobs": []}]


@pytest.mark.parametrize("told", [None, [], {}, "odd", [3, None]])
def test_no_log_probabilities(told: Any) -> None:
    assert reading.logprobs(told) == []
