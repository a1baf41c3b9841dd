"""The files of the page, read once. All of them share one version, the hash of what is in them."""

import hashlib
from functools import cache
from importlib.resources import files
from types import MappingProxyType

_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
_VERSION_LENGTH = 16


@cache
def assets() -> MappingProxyType[str, bytes]:
    """Content by name."""
    folder = files("app.ui").joinpath("assets")
    return MappingProxyType({file.name: file.read_bytes() for file in folder.iterdir() if content_type(file.name)})


def content_type(name: str) -> str | None:
    """What a file is, by its ending; None for what belongs not to the page."""
    return next((kind for ending, kind in _TYPES.items() if name.endswith(ending)), None)


@cache
def version() -> str:
    """Changes with any of the files: modules import each other, so that they only fit together."""
    digest = hashlib.sha256()
    for name, content in sorted(assets().items()):
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:_VERSION_LENGTH]
