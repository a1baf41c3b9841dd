"""The code blocks of the docs, by page and language."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
LANGUAGES = ("sh", "python", "javascript")
"""Labels of code that is run; what a reader does not run as it stands has another one: console, json, toml …"""
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def fences(page: str) -> list[tuple[str, str]]:
    """Language and code of every block that is run, top to bottom."""
    return [(language, code) for language, code in _BLOCK.findall((DOCS / page).read_text()) if language in LANGUAGES]


def shell(page: str, heading: str) -> list[str]:
    """The shell blocks of one section."""
    text = (DOCS / page).read_text()
    section = re.split(rf"^#+ {re.escape(heading)}$", text, flags=re.MULTILINE)[1]
    section = re.split(r"^#{1,2} ", section, maxsplit=1, flags=re.MULTILINE)[0]
    return [code for language, code in _BLOCK.findall(section) if language == "sh"]
