"""mkdocs hooks: pages from elsewhere in the repository, generated ones, and links that work here and on GitHub."""

import os
import re
import sys
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
FRONT = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "SECURITY.md": "security.md"}
FRONT["CHANGELOG.md"] = "changelog.md"
"""Files of the repository's top folder that are pages here."""
EXAMPLES = "examples/celery-pipeline"
_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#|/)([^)#\s]+)")
_CODE = re.compile(r"(^```.*?^```$|`[^`\n]*`)", re.MULTILINE | re.DOTALL)
_SETTINGS = "SIMMER_"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put every decision into the navigation, below the list of them."""
    _decisions(config.nav).extend(f"adr/{page.name}" for page in sorted((ROOT / "docs" / "adr").glob("[0-9]*.md")))
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are no file of this folder."""
    for source, page in FRONT.items():
        _add(files, config, page, (ROOT / source).read_text("utf-8"))
    _add(files, config, "reference.md", _reference())
    _add(files, config, f"{EXAMPLES}.md", _example(ROOT / "docs" / EXAMPLES))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn each link between files of the repository into one between pages."""
    place = page.file.src_uri
    source = next((name for name, target in FRONT.items() if target == place), f"docs/{place}")

    def linked(match: re.Match[str]) -> str:
        aim = os.path.normpath(PurePosixPath(source).parent / match[1])
        return os.path.relpath(_target(aim, files, config), PurePosixPath(place).parent)

    parts = _CODE.split(markdown)
    # Every second part is code.
    parts[::2] = [_LINK.sub(linked, part) for part in parts[::2]]
    return "".join(parts)


def _decisions(nav: Any) -> list[str]:
    """The part of the navigation that begins with the list of decisions."""
    parts = [nav]
    for part in parts:
        if isinstance(part, list) and part[0] == "adr/README.md":
            return part
        parts += part if isinstance(part, list) else part.values() if isinstance(part, dict) else []
    raise LookupError("There is no adr/README.md in the navigation of mkdocs.yml.")


def _target(aim: str, files: Files, config: MkDocsConfig) -> str:
    """The page or file of the site for a path in the repository."""
    if aim in FRONT:
        return FRONT[aim]
    if aim.startswith("docs/"):
        inside = aim.removeprefix("docs/")
        return f"{inside}.md" if inside == EXAMPLES else inside
    kept = f"files/{aim}"
    if (ROOT / aim).is_file() and not files.get_file_from_path(kept):
        files.append(File.generated(config, kept, abs_src_path=str(ROOT / aim)))
    return kept


def _add(files: Files, config: MkDocsConfig, page: str, content: str) -> None:
    files.append(File.generated(config, page, content=content))


def _reference() -> str:
    # What is set on this machine is not the default that the page is about.
    for name in [name for name in os.environ if name.startswith(_SETTINGS)]:
        del os.environ[name]
    sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]
    from http_reference import reference  # noqa: PLC0415 - mkdocs loads this file by its path

    text: Any = reference()
    return str(text)


def _example(folder: Path) -> str:
    """The files of an example project, one below the other."""
    shown = [f"# The Celery example\n\nThe project of [the guide](../guides/from-celery.md), in `docs/{EXAMPLES}`.\n"]
    for file in sorted(folder.iterdir(), key=lambda file: (file.suffix != ".py", file.name)):
        if file.suffix in {".py", ".txt"}:
            kind = "py" if file.suffix == ".py" else "text"
            shown.append(f"## {file.name}\n\n```{kind}\n{file.read_text('utf-8').rstrip()}\n```\n")
    return "\n".join(shown)
