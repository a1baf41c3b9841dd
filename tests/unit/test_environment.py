"""One place reads the environment: settings.py. The stack passes it on to the processes it starts."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
READER = "app/settings.py"
NAMES = {"environ", "environb", "getenv", "getenvb"}

# https://no-color.org asks every program for it, and it is no setting of Simmer's.
ALSO_READ = {("app/stack/console.py", "NO_COLOR")}


def sources() -> Iterator[Path]:
    for folder in ("app", "workers", "migrations"):
        yield from (ROOT / folder).rglob("*.py")


def reads(tree: ast.AST, name: str) -> list[str]:
    """Lines that touch the environment in a way that `name` may not."""
    passed_on = _passed_on(tree) if name.startswith("app/stack/") else set()
    allowed = passed_on | {id(node) for node in ast.walk(tree) if (name, _asked_for(node)) in ALSO_READ}
    inside = {id(child) for node in ast.walk(tree) if id(node) in allowed for child in ast.walk(node)}
    return [f"{name}:{node.lineno}" for node in _touches(tree) if id(node) not in inside]


def _touches(tree: ast.AST) -> Iterator[ast.Attribute | ast.Name | ast.alias | ast.ClassDef]:
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id="request"), attr="environ"):
                """WSGI's, which is something else."""
            case ast.Attribute(attr=attribute) if attribute in NAMES:
                yield node
            case ast.alias(name=imported) if imported in NAMES:
                yield node
            case ast.ClassDef(bases=bases) if any(ast.unparse(base).endswith("BaseSettings") for base in bases):
                yield node


def _passed_on(tree: ast.AST) -> set[int]:
    """`**os.environ` in a dict: all of it goes to a child, and no variable is looked at."""
    unpacked = (
        value
        for node in ast.walk(tree)
        if isinstance(node, ast.Dict)
        for key, value in zip(node.keys, node.values, strict=True)
        if key is None
    )
    return {id(value) for value in unpacked if ast.unparse(value) == "os.environ"}


def _asked_for(node: ast.AST) -> str | None:
    """NAME of `os.environ.get("NAME")`."""
    match node:
        case ast.Call(func=function, args=[ast.Constant(value=str(wanted))]):
            return wanted if ast.unparse(function) == "os.environ.get" else None
    return None


def test_settings_alone_reads_the_environment() -> None:
    found = {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in sources()}
    assert reads(found.pop(READER), READER), "the scan no longer sees what settings.py does"
    assert [line for name, tree in found.items() for line in reads(tree, name)] == []


@pytest.mark.parametrize(
    "code",
    [
        "import os\nos.environ['A']",
        "import os\nos.environ.get('A')",
        "import os\nos.getenv('A')",
        "from os import environ",
        "from os import getenv as g",
        "import os\nenv = {'A': os.environ['A']}",
        "import os\nenv = dict(os.environ)",
        "import os\nx = os.environ.get('NO_COLOUR')",
        "class Mine(BaseSettings): pass",
        "class Mine(pydantic_settings.BaseSettings): pass",
    ],
)
@pytest.mark.parametrize("name", ["app/stack/console.py", "workers/jobs.py"])
def test_the_scan_sees_a_planted_read(code: str, name: str) -> None:
    assert reads(ast.parse(code), name)


def test_the_stack_alone_may_pass_the_environment_on() -> None:
    tree = ast.parse("import os\nenv = {**os.environ, 'A': 'b'}")
    assert reads(tree, "app/stack/child.py") == []
    assert reads(tree, "app/container.py")
    assert reads(tree, "workers/process.py")
