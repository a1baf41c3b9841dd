"""Bodies that are no JSON object in UTF-8, or that two readers could read differently."""

import json
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.acceptance.bad_inputs.dialects import Dialect, both
from tests.acceptance.bad_inputs.raw import Headers, request
from tests.acceptance.bad_inputs.site import CANARY, JSON_TYPE, Site

IRE = "invalid_request_error"


@dataclass(frozen=True)
class Row:
    """One bad body. `body` is given one that is good, with a comma at its end to go on after."""

    name: str
    body: Callable[[str], str | bytes]
    code: str
    param: str | None = None
    status: int = 400
    headers: Headers = (JSON_TYPE,)

    def __str__(self) -> str:
        return self.name


def media(name: str, *headers: tuple[str, str]) -> Row:
    """A good body that is declared as something else."""
    return Row(name, lambda good: good[:-1] + "}", "unsupported_media_type", status=415, headers=headers)


ROWS = [
    media("no Content-Type"),
    media("empty Content-Type", ("Content-Type", "")),
    media("text/plain", ("Content-Type", "text/plain")),
    media("a form", ("Content-Type", "application/x-www-form-urlencoded")),
    media("not quite JSON", ("Content-Type", "application/jsonp")),
    media("an unknown type", ("Content-Type", CANARY)),
    media("gzip", JSON_TYPE, ("Content-Encoding", "gzip")),
    media("an unknown encoding", JSON_TYPE, ("Content-Encoding", CANARY)),
    Row("empty", lambda _: "", "invalid_json"),
    Row("blank", lambda _: " \r\n\t ", "invalid_json"),
    Row("truncated", lambda good: good, "invalid_json"),
    Row("truncated in a string", lambda good: f'{good} "metadata": {{"a": "{CANARY}', "invalid_json"),
    Row("trailing bytes", lambda good: f"{good[:-1]}}} {CANARY}", "invalid_json"),
    Row("two objects", lambda good: f"{good[:-1]}}} {good[:-1]}}}", "invalid_json"),
    Row("NaN", lambda good: good + '"temperature": NaN}', "invalid_json"),
    Row("Infinity", lambda good: good + '"temperature": Infinity}', "invalid_json"),
    Row("-Infinity", lambda good: good + '"temperature": -Infinity}', "invalid_json"),
    Row("invalid UTF-8", lambda good: f'{good} "user": "{CANARY}'.encode() + b'\xff"}', "invalid_encoding"),
    Row("overlong UTF-8", lambda good: good.encode() + b'"user": "\xc0\xaf"}', "invalid_encoding"),
    Row("a surrogate in UTF-8", lambda good: good.encode() + b'"user": "\xed\xa0\x80"}', "invalid_encoding"),
    Row("UTF-16", lambda good: f"{good[:-1]}}}".encode("utf-16"), "invalid_encoding"),
    Row("UTF-16-LE", lambda good: f"{good[:-1]}}}".encode("utf-16-le"), "invalid_encoding"),
    Row("UTF-16-BE", lambda good: f"{good[:-1]}}}".encode("utf-16-be"), "invalid_encoding"),
    Row("UTF-32", lambda good: f"{good[:-1]}}}".encode("utf-32"), "invalid_encoding"),
    Row("null", lambda _: "null", "invalid_type"),
    Row("an array", lambda good: f"[{good[:-1]}}}]", "invalid_type"),
    Row("a string", lambda _: f'"{CANARY}"', "invalid_type"),
    Row("a number", lambda _: "1", "invalid_type"),
    Row("true", lambda _: "true", "invalid_type"),
    Row("a level too deep", lambda good: good + '"metadata": ' + "[" * 64 + "]" * 64 + "}", "json_too_deep"),
    Row("far too deep", lambda good: good + '"metadata": ' + "[" * 100_000 + "]" * 100_000 + "}", "json_too_deep"),
    Row("far too deep objects", lambda _: '{"a":' * 100_000 + "1" + "}" * 100_000, "json_too_deep"),
    Row("nothing but depth", lambda _: "[" * 100_000, "json_too_deep"),
    Row("a key twice", lambda good: good + '"model": "gpt-4.1"}', "duplicate_key"),
    Row("a key twice inside", lambda good: f'{good} "metadata": {{"{CANARY}": "", "{CANARY}": ""}}}}', "duplicate_key"),
    Row("a key twice, written differently", lambda good: good + '"\\u006dodel": "gpt-4.1"}', "duplicate_key"),
    Row("5,000 digits", lambda good: good + '"max_output_tokens": ' + "9" * 5_000 + "}", "invalid_number"),
    Row("minus 5,000 digits", lambda good: good + '"max_output_tokens": -' + "9" * 5_000 + "}", "invalid_number"),
    Row("1e999", lambda good: good + '"temperature": 1e999}', "invalid_number"),
    Row("NUL", lambda good: good + f'"metadata": {{"a": "{CANARY}\\u0000"}}}}', "invalid_unicode", "metadata.a"),
    Row("NUL in a key", lambda good: good + f'"metadata": {{"{CANARY}\\u0000": ""}}}}', "invalid_unicode", "metadata"),
    Row("NUL in a key at the top", lambda good: good + f'"{CANARY}\\u0000": ""}}', "invalid_unicode", "body"),
    Row("half a pair", lambda good: good + '"instructions": "\\ud800"}', "invalid_unicode", "instructions"),
    Row("the other half", lambda good: good + '"instructions": "a\\udc00b"}', "invalid_unicode", "instructions"),
    Row(
        "a pair turned round",
        lambda good: good + '"instructions": "\\ude00\\ud83d"}',
        "invalid_unicode",
        "instructions",
    ),
    Row("half a pair in a key", lambda good: good + '"metadata": {"\\ud800": ""}}', "invalid_unicode", "metadata"),
]


def good(dialect: Dialect) -> str:
    """A good body that is not closed yet."""
    return json.dumps(dialect.body(CANARY))[:-1] + ","


@both
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_body_that_is_refused(site: Site, dialect: Dialect, row: Row) -> None:
    body = row.body(good(dialect))
    key = ("Authorization", f"Bearer {site.key}")
    data = request("POST", dialect.path, [key, *row.headers], body if isinstance(body, bytes) else body.encode())
    assert site.refuses(data) == (row.status, IRE, row.code, row.param)


@both
def test_nul_is_found_in_the_conversation_itself(site: Site, dialect: Dialect) -> None:
    body = dialect.body(f"{CANARY}\0")
    ((name, path),) = [(dialect.inputs, "[0].texts[0].text" if dialect.name == "freddy" else "[0].content")]
    refused = site.refuses(site.request("POST", dialect.path, body))
    assert refused == (400, IRE, "invalid_unicode", f"{name}{path}")


@both
@pytest.mark.parametrize(
    "headers",
    [
        [JSON_TYPE],
        [("Content-Type", "application/json; charset=utf-8")],
        [("Content-Type", "APPLICATION/JSON")],
        [JSON_TYPE, ("Content-Encoding", "identity")],
    ],
)
def test_a_mark_of_byte_order_is_no_harm(site: Site, dialect: Dialect, headers: list[tuple[str, str]]) -> None:
    before = site.count()
    body = b"\xef\xbb\xbf" + json.dumps(dialect.body()).encode()
    reply = site.ask("POST", dialect.path, body, headers)
    assert (reply.status, reply.json["status"]) == (200, "queued")
    assert site.count() == before + 1


@both
def test_64_levels_are_not_too_deep(site: Site, dialect: Dialect) -> None:
    body = good(dialect) + '"metadata": ' + "[" * 63 + "]" * 63 + "}"
    assert site.refuses(site.request("POST", dialect.path, body.encode())) == (400, IRE, "invalid_type", "metadata")
