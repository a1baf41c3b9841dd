"""Read a JSON body strictly: whatever two readers could read differently is refused (RFC 8259, I-JSON of RFC 7493)."""

import json
import math
import re
from collections.abc import Iterator
from itertools import accumulate
from typing import Any, NoReturn

from flask import Request
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from app.api.errors import UnsupportedMediaTypeError
from app.domain.errors import InvalidRequestError

_MAX_DIGITS = 40
"""Longest integer that is read: JSON sets no limit, and turning digits into a number takes quadratic time."""
# Possessive: without it a long string costs a hundred bytes of memory for each of its characters.
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def read_object(request: Request, *, max_depth: int) -> dict[str, Any]:
    """The body as a JSON object.

    Raises InvalidRequestError with the code that says what is wrong, UnsupportedMediaTypeError, and werkzeug's
    RequestEntityTooLarge.
    """
    if not _labelled_json(request) or request.headers.get("Content-Encoding", "identity") != "identity":
        raise UnsupportedMediaTypeError("Send the body as `Content-Type: application/json`, uncompressed.")
    text = _decode(_received(request))
    _check_depth(text, max_depth)
    value = _parse(text)
    if not isinstance(value, dict):
        raise InvalidRequestError("The body must be a JSON object.", code="invalid_type")
    # Decoded UTF-8 holds neither NUL nor surrogates: only an escape can smuggle them in.
    if "\\u" in text:
        for path in _unreadable_strings(value, ""):
            message = "Text must not hold NUL or unpaired surrogates."
            raise InvalidRequestError(message, code="invalid_unicode", param=path)
    return value


def _labelled_json(request: Request) -> bool:
    """`application/json`, or what `fetch` writes by itself for a string: the contract's example sets no label."""
    by_fetch = request.mimetype == "text/plain" and request.mimetype_params.get("charset", "").lower() == "utf-8"
    return request.mimetype == "application/json" or by_fetch


def _received(request: Request) -> bytes:
    try:
        body = request.get_data(cache=False)
    except ClientDisconnected:
        # It stopped sending, was too slow for `app.gunicorn`, or sent chunks that are none.
        body = None
    if body is None or len(body) < (request.content_length or 0):
        message = "The body did not come as announced, or not in time. Send it again."
        raise InvalidRequestError(message, code="incomplete_body")
    # Werkzeug cuts a chunked body off at its maximum, which is therefore set to the first length that is too large.
    if len(body) == request.max_content_length:
        raise RequestEntityTooLarge
    return body


def _decode(body: bytes) -> str:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        # No JSON text holds a raw NUL; one in UTF-16 is full of them.
        raise InvalidRequestError("The body must be UTF-8.", code="invalid_encoding")
    return text


def _check_depth(text: str, max_depth: int) -> None:
    """Refuse what nests too deep before the parser, which recurses, sees it."""
    if text.count("{") + text.count("[") <= max_depth:
        return
    brackets = _STRING.sub("", text).encode().translate(None, _NO_BRACKETS)
    depths = accumulate(1 if bracket in b"[{" else -1 for bracket in brackets)
    if any(depth > max_depth for depth in depths):
        raise InvalidRequestError(f"Nest at most {max_depth} levels deep.", code="json_too_deep")


def _parse(text: str) -> Any:
    try:
        return json.loads(
            text,
            object_pairs_hook=_unique_keys,
            parse_int=_integer,
            parse_float=_finite,
            parse_constant=_no_constant,
        )
    except json.JSONDecodeError as error:
        message = f"The body is not valid JSON: look at line {error.lineno}, column {error.colno}."
        raise InvalidRequestError(message, code="invalid_json") from None


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise InvalidRequestError("An object in the body holds the same key twice.", code="duplicate_key")
    return found


def _integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise InvalidRequestError(f"Integers may have {_MAX_DIGITS} digits.", code="invalid_number")
    return int(digits)


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise InvalidRequestError("A number in the body is too large.", code="invalid_number")
    return value


def _no_constant(_: str) -> NoReturn:
    raise InvalidRequestError("NaN and Infinity are not JSON.", code="invalid_json")


def _unreadable_strings(value: Any, path: str) -> Iterator[str]:
    """Paths of the strings, keys too, that hold NUL or half of a surrogate pair."""
    if isinstance(value, str):
        if "\0" in value or (not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value)):
            yield path
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unreadable_strings(item, f"{path}[{index}]")
    elif isinstance(value, dict):
        for key, item in value.items():
            # The path must not repeat the bad key.
            yield from (path or "body" for _ in _unreadable_strings(key, path))
            yield from _unreadable_strings(item, f"{path}.{key}".removeprefix("."))
