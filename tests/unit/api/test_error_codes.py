"""The error codes that the code can raise, and those that the document knows, are the same."""

import ast
from collections.abc import Iterator
from pathlib import Path

from app.api import errors, validation
from app.api.openapi.codes import CODES
from app.domain import errors as domain
from app.domain import webhook_urls
from app.domain.jobs import Failure

APP = Path(__file__).parents[3] / "app"
# The command line's alone.
NEVER_SENT = {domain.ConfigurationError.code}
ROOMS = ("api", "domain", "services", "upstreams", "adapters", "db")


def parsed() -> Iterator[ast.Module]:
    for room in ROOMS:
        for path in (APP / room).rglob("*.py"):
            if path.parent.name not in {"openapi", "shapes"}:
                yield ast.parse(path.read_text())


def literals(tree: ast.Module) -> Iterator[str]:
    """What is given as `code`, by name, or by place to a function of the same module."""
    places = {
        node.name: names.index("code")
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and "code" in (names := [argument.arg for argument in node.args.args])
    }
    for node in ast.walk(tree):
        given: list[ast.expr | None] = []
        if isinstance(node, ast.Call):
            given = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
            place = places.get(node.func.id) if isinstance(node.func, ast.Name) else None
            given += node.args[place : place + 1] if place is not None else []
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            given = [node.value] if any(isinstance(t, ast.Name) and t.id == "code" for t in targets) else []
        yield from (value.value for value in given if isinstance(value, ast.Constant) and isinstance(value.value, str))


def raised() -> set[str]:
    codes = {code for tree in parsed() for code in literals(tree)}
    codes |= set(validation._CODES.values()) | {failure.value for failure in Failure}
    codes |= {webhook_urls.INVALID, webhook_urls.NOT_ALLOWED}
    return codes | {code for _, code, _ in errors._HTTP_ERRORS.values()} | set(refused_by_the_server())


def refused_by_the_server() -> Iterator[str]:
    """The codes of what gunicorn refuses before the app sees it: status, code and message."""
    for node in ast.walk(ast.parse((APP / "gunicorn.py").read_text())):
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
            (code,) = (part.value for part in node.value.elts[1:2] if isinstance(part, ast.Constant))
            yield str(code)


def test_every_code_that_is_raised_is_documented_and_no_other() -> None:
    assert raised() - NEVER_SENT == CODES.keys()


def kinds(cls: type[domain.ServiceError]) -> Iterator[type[domain.ServiceError]]:
    yield cls
    for kind in cls.__subclasses__():
        yield from kinds(kind)


def test_statuses_and_types_are_those_of_the_errors() -> None:
    for cls in kinds(domain.ServiceError):
        # The command line has errors of its own, which no client meets.
        if cls in (domain.SynchronousError, domain.ConfigurationError) or cls.__module__.startswith("app.commands"):
            continue
        status, kind = next((status, kind) for known, status, kind in errors._MEANINGS if issubclass(cls, known))
        assert (CODES[cls.code].status, CODES[cls.code].type) == (status, kind), cls
    for status, (kind, code, _) in errors._HTTP_ERRORS.items():
        assert (CODES[code].status, CODES[code].type) == (status, kind)
    for code, status in errors._SYNCHRONOUS.items():
        wanted = (status, errors._TYPES.get(status, "server_error"), True)
        assert (CODES[code].status, CODES[code].type, CODES[code].of_response) == wanted


def test_what_a_client_reads_is_a_sentence() -> None:
    for known in CODES.values():
        for text in (known.when, known.message):
            assert text[0].isupper() or text[0] == "`"
            assert text.endswith(".")
