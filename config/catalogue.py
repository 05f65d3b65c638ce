"""The catalogue of translations: what the source says, found without gettext's tools, and the compiled file.

Used by `manage.py catalogue` and by the tests that hold it complete and current. The theme has no German of its own, so
what its templates say belongs to ours.
"""

import ast
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import unfold
from babel.messages import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.conf import settings
from django.utils.translation.template import templatize

KEYWORDS = {"_": None, "gettext": None, "gettext_lazy": None, "ngettext": (1, 2), "ngettext_lazy": (1, 2)}
OURS = ("config", "jobs", "notifications")
TEXT = r"u?(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")"
CALL = re.compile(rf"\b(?:_|gettext)\(({TEXT})\)")
COUNTED = re.compile(rf"\bngettext\(({TEXT}),\s*({TEXT}),")
THEIRS = Path(unfold.__file__).parent
# Said by the theme for features that are not in use here.
UNUSED = {
    "unfold_crispy",
    "simple_history",
    "import_export",
    "guardian",
    "constance",
    "inlines",
    "dataset_model_admin.py",
}
UNUSED |= {"nested_inlines_model_admin.py"}

Message = str | tuple[str, ...]


def file(language: str, ending: str = "po") -> Path:
    return Path(settings.BASE_DIR) / "locale" / language / "LC_MESSAGES" / f"django.{ending}"


def spoken() -> dict[Message, list[str]]:
    """What is said, and where."""
    found: dict[Message, list[str]] = {}
    home = Path(settings.BASE_DIR)
    ours = (pair for app in OURS for pair in _in_python(home / app))
    for message, place in (*ours, *_in_templates(home / "templates")):
        found.setdefault(message, []).append(place)
    for message, _ in (*_in_python(THEIRS), *_in_templates(THEIRS / "templates")):
        found.setdefault(message, ["the theme"])
    return found


def load(language: str) -> Catalog:
    with file(language).open("rb") as source:
        return read_po(source, locale=language)


def update(language: str) -> Catalog:
    """The catalogue with all that is said now and none that is not; what is new has no translation yet."""
    known = load(language) if file(language).exists() else Catalog(locale=language)
    fresh = Catalog(locale=language, project="Punctual", version="1", charset="utf-8")
    fresh.creation_date, fresh.revision_date = known.creation_date, known.revision_date  # no change without a change
    for message, places in sorted(spoken().items(), key=lambda pair: str(pair[0])):
        old = known.get(message[0] if isinstance(message, tuple) else message)
        fresh.add(
            message,
            old.string if old else None,
            locations=[(place, None) for place in sorted(set(places))],  # type: ignore[misc]  # no line numbers
        )
    return fresh


def lacking(catalogue: Catalog) -> list[Message]:
    """What has no translation, or not of each of its numbers."""
    return [_key(one.id) for one in catalogue if one.id and not all(_texts(one.string))]


def _key(said: Any) -> Message:
    return said if isinstance(said, str) else tuple(said)


def _texts(string: Any) -> list[str]:
    return [string] if isinstance(string, str) else list(string or [""])


def store(language: str, catalogue: Catalog) -> None:
    file(language).parent.mkdir(parents=True, exist_ok=True)
    with file(language).open("wb") as target:
        write_po(target, catalogue, width=110, omit_header=False)
    file(language, "mo").write_bytes(compiled(load(language)))


def compiled(catalogue: Catalog) -> bytes:
    target = io.BytesIO()
    write_mo(target, catalogue)
    return target.getvalue()


def _in_python(root: Path) -> Iterator[tuple[Message, str]]:
    for path in sorted(root.rglob("*.py")):
        if root == THEIRS and UNUSED & set(path.parts):
            continue
        with path.open("rb") as source:
            for _line, message, _comments, _context in extract("python", source, keywords=KEYWORDS):
                if message:
                    yield message, str(path.relative_to(root.parent))


def _in_templates(root: Path) -> Iterator[tuple[Message, str]]:
    for path in sorted(root.rglob("*.html")):
        if UNUSED & set(path.parts):
            continue
        python = templatize(path.read_text(), origin=str(path))
        for literal in CALL.findall(python):
            yield ast.literal_eval(literal), path.name
        for pair in COUNTED.findall(python):  # blocktranslate count
            yield tuple(ast.literal_eval(literal) for literal in pair), path.name
