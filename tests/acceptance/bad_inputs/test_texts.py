"""Texts that would upset a terminal, a log or a careless reader: taken as they are, and given back as they were."""

import json
import re
from uuid import uuid4

import pytest

from tests.acceptance.bad_inputs.dialects import FREDDY, OPENAI, Dialect, both
from tests.acceptance.bad_inputs.raw import ask, request
from tests.acceptance.bad_inputs.site import CANARY, JSON_TYPE, Site
from tests.cluster import Client
from tests.processes import wait_until
from tests.upstream.client import MockUpstream

TEXTS = {
    "CR LF": "one\r\ntwo\rthree\nfour",
    "a line of a log": "a\n12:00:00.000 INFO    request method=GET status=200\r\n",
    "ANSI escapes": "\x1b[31mred\x1b[0m\x1b]0;title\x07\x1b[2J",
    "other control characters": "".join(chr(code) for code in (*range(1, 32), 127, *range(128, 160))),
    "4-byte emoji": "\U0001f600\U0001f469\U0001f3fd\u200d\U0001f680",
    "right-to-left marks": "\u200f\u202eabc\u202c\u2067\u05e9\u05dc\u05d5\u05dd\u2069",
    "line separators": "a\u2028b\u2029c\x85d\x0be\x0cf",
    "what is no character": "\ufffe\uffff\U0010ffff\ufdd0",
    "a mark of byte order": "\ufeffa\ufeff",
    "escapes that are none": "\\u0000 \\x00 %00 &#0; ${jndi} {{7*7}} </script>",
    "combining marks": "e\u0301 \u1100\u1161\u11a8 Z\u0351\u036b\u0343",
}


@both
@pytest.mark.parametrize("name", TEXTS)
def test_a_text_comes_back_as_it_was(shared: Client, upstream: MockUpstream, dialect: Dialect, name: str) -> None:
    mark = uuid4().hex
    text = f"{mark} {TEXTS[name]} {mark}"
    metadata = {TEXTS[name]: TEXTS[name], "mark": mark}
    body = dialect.body(text, metadata=metadata, instructions=TEXTS[name])
    created = shared.request("POST", dialect.path, body)
    assert (created.status, created.json["metadata"]) == (200, metadata)
    job_id = created.json["id"]
    shared.wait(job_id, "completed")
    for each in (FREDDY, OPENAI):
        job = shared.request("GET", f"{each.path}/{job_id}").json
        assert job["metadata"] == metadata
        assert job["output"][0]["content"][0]["text"] == f"echo: {text}"
    (item,) = shared.request("GET", f"{OPENAI.path}/{job_id}/input_items").json["data"]
    assert item["content"][0]["text"] == text
    (sent,) = upstream.bodies(mark)
    system, user = sent["messages"]
    assert (system["content"], user["content"]) == (TEXTS[name], text)


RECORD = re.compile(r"\d\d:\d\d:\d\d\.\d{3} (DEBUG|INFO|WARNING|ERROR) .*|\[\d{4}-.*\] \[\d+\] \[[A-Z]+\] .*")


def test_a_log_line_stays_one_record(site: Site) -> None:
    start = site.log.stat().st_size
    marks = []
    for dialect in (FREDDY, OPENAI):
        for text in TEXTS.values():
            nasty = f"{CANARY}{text}"
            escaped = "".join(f"%{byte:02x}" for byte in nasty.encode())
            key = [("X-API-Key", site.key), JSON_TYPE]
            requests = [
                request("POST", dialect.path, key, json.dumps(dialect.body(nasty, metadata={nasty: nasty})).encode()),
                request("POST", dialect.path, key, json.dumps(dialect.body(model=nasty)).encode()),
                request("POST", dialect.path, key, json.dumps({nasty: nasty}).encode()),
                request("GET", f"{dialect.path}/{escaped}", key),
                request("GET", f"/{escaped}?{escaped}={escaped}", key),
                request("GET", f"{dialect.path}?{escaped}={escaped}", key),
                request("GET", dialect.path, [("X-API-Key", escaped), ("X-Client-Request-Id", escaped)]),
                request("GET", dialect.path, [*key, ("X-Client-Request-Id", f"{CANARY}\x85\xa0\xad")]),
            ]
            for data in requests:
                reply = ask(site.url, data)
                assert reply.status in {200, 400, 401, 404}
                marks.append(f" request request_id={reply.header('X-Request-Id')} ")
    malformed = f"GET /{CANARY} HTTP/1.1\r\nX-{CANARY}\x1b[31m: {CANARY}\x1b[31m\r\n\r\n".encode()
    assert ask(site.url, malformed).status == 400
    records = _records(site, start, marks)
    assert [mark for mark in marks if len([line for line in records if mark in line]) != 1] == []
    assert [line for line in records if not RECORD.fullmatch(line) or not line.isprintable()] == []
    assert [line for line in records if CANARY in line] == []


def _records(site: Site, start: int, marks: list[str]) -> list[str]:
    """The lines that the API wrote since then, once all the requests are among them, and maybe some from before."""

    def written() -> list[str]:
        text = site.log.read_bytes()[start:].rpartition(b"\n")[0].decode()
        return text.split("\n") if all(mark in text for mark in marks) else []

    return wait_until(written, 30, "all requests in the log")
