"""Holds real answers against the OpenAPI document: status, headers, media type and body, with nothing left unsaid."""

import re
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from jsonschema import Draft202012Validator

ANYWHERE = {404: "UnknownUrl", 405: "MethodNotAllowed"}
"""Answers that come from no operation, and their names among the document's components."""


class Documented:
    """An OpenAPI document. Its shapes are taken as closed: what they do not mention must not be sent."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document: Any = deepcopy(document)
        for schema in self.document["components"]["schemas"].values():
            if "properties" in schema:
                schema.setdefault("additionalProperties", False)
        self.paths = [(_pattern(path), path) for path in sorted(self.document["paths"], key=lambda path: "{" in path)]

    def resolved(self, node: Any) -> Any:
        """What a reference points to; anything else is itself."""
        while "$ref" in node:
            found = self.document
            for step in node["$ref"].removeprefix("#/").split("/"):
                found = found[step]
            node = found
        return node

    def operation(self, method: str, path: str) -> Any:
        """The operation that takes a request; None if there is none."""
        known = "GET" if method == "HEAD" else method
        found = next((name for pattern, name in self.paths if pattern.fullmatch(path)), None)
        return self.document["paths"][found].get(known.lower()) if found else None

    def check(self, method: str, path: str, status: int, headers: Mapping[str, str], body: Any) -> None:
        """Raise AssertionError unless the document knows this answer; `body` is the parsed JSON, or the text."""
        operation = self.operation(method, path)
        known = operation["responses"] if operation else {}
        name = "" if str(status) in known else ANYWHERE.get(status, "")
        answer = self.document["components"]["responses"].get(name) or known.get(str(status))
        assert answer, f"{method} {path} answered {status}, which the document does not mention"
        for wanted, header in answer["headers"].items():
            if self.resolved(header).get("required"):
                assert wanted in headers, f"{wanted} is missing"
        if method == "HEAD" or "content" not in answer:
            assert not body
            return
        media_type = headers["Content-Type"].partition(";")[0]
        assert media_type in answer["content"], f"{media_type} is not documented for {method} {path}"
        if media_type != "text/event-stream":
            self.conforms(answer["content"][media_type]["schema"], body)

    def conforms(self, schema: Any, value: Any) -> None:
        """Raise AssertionError unless `value` is what `schema` says; references are to this document."""
        whole = {**schema, "components": self.document["components"]}
        problems = [
            f"{problem.json_path}: {problem.message[:500]}"
            for problem in Draft202012Validator(whole).iter_errors(value)
        ]
        assert not problems, problems


def _pattern(path: str) -> re.Pattern[str]:
    # A model's name may hold slashes, and is the last part of its path.
    parts = re.split(r"(\{\w+\})", path)
    return re.compile(
        "".join((".+" if part == "{name}" else "[^/]+") if part.startswith("{") else re.escape(part) for part in parts)
    )
