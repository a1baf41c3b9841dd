"""No API key, nor any part or digest of one, is compared in a time that tells how much of it is right."""

import ast
from collections.abc import Iterator

import pytest

from tests.compose import ROOT

MODULES = ["app/domain/secrets.py", "app/services/keys.py", "app/api/context.py"]
# In app/db/keys.py Postgres compares, and by an index of digests.
SECRET = {"key", "secret", "body", "wanted", "credentials", "digest", "new_key", "_checksum", "_presented_key"}
"""What holds a secret in these modules, or makes one."""
HASTY = (ast.Eq, ast.NotEq, ast.In, ast.NotIn)


def hasty_comparisons(source: str) -> list[str]:
    """Comparisons that end at the first difference and that a secret takes part in."""
    return [
        ast.unparse(node)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Compare) and any(isinstance(operator, HASTY) for operator in node.ops)
        if SECRET & {name for side in (node.left, *node.comparators) for name in _values(side)}
    ]


def _values(node: ast.AST) -> Iterator[str]:
    """Names whose values take part; a length tells nothing."""
    match node:
        case ast.Call(func=ast.Name(id="len")):
            return
        case ast.Name(id=name) | ast.Attribute(attr=name):
            yield name
    for child in ast.iter_child_nodes(node):
        yield from _values(child)


@pytest.mark.parametrize("module", MODULES)
def test_none_is_hasty(module: str) -> None:
    assert hasty_comparisons((ROOT / module).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("body[30:] == _checksum(body[:30])", True),
        ("stored != digest(key)", True),
        ("key in self.known", True),
        ("'x' not in g.key", True),
        ("found.secret == other", True),
        ("hmac.compare_digest(body, other)", False),
        ("len(body) != 36", False),
        ("key is None", False),
        ("name == 'first'", False),
    ],
)
def test_the_rule_itself(source: str, found: bool) -> None:
    assert bool(hasty_comparisons(source)) is found
