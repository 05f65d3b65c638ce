"""The catalogue of translations: what the source says, found without gettext's tools, and the compiled file.

Used by `manage.py catalogue` and by the tests that hold it complete and current. The theme has no German of its own, so
what its templates say belongs to ours.
"""

import ast
import io
import re
from collections.abc import Iterator
from pathlib import Path

import unfold
from babel.messages import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.conf import settings
from django.utils.translation.template import templatize

KEYWORDS = {"_": None, "gettext": None, "gettext_lazy": None, "ngettext": (1, 2), "ngettext_lazy": (1, 2)}
OURS = ("config", "jobs", "notifications")
CALL = re.compile(r"\b(?:_|gettext)\((u?(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"))\)")
THEIRS = Path(unfold.__file__).parent / "templates"
# Said by the theme's templates for features that are not in use here.
UNUSED = {"unfold_crispy", "simple_history", "import_export", "guardian", "constance"}

Message = str | tuple[str, ...]


def file(language: str, ending: str = "po") -> Path:
    return Path(settings.BASE_DIR) / "locale" / language / "LC_MESSAGES" / f"django.{ending}"


def spoken() -> dict[Message, list[str]]:
    """What is said, and where."""
    found: dict[Message, list[str]] = {}
    for message, place in (*_in_python(), *_in_templates(Path(settings.BASE_DIR) / "templates")):
        found.setdefault(message, []).append(place)
    for message, _ in _in_templates(THEIRS):
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


def store(language: str, catalogue: Catalog) -> None:
    file(language).parent.mkdir(parents=True, exist_ok=True)
    with file(language).open("wb") as target:
        write_po(target, catalogue, width=110, omit_header=False)
    file(language, "mo").write_bytes(compiled(load(language)))


def compiled(catalogue: Catalog) -> bytes:
    target = io.BytesIO()
    write_mo(target, catalogue)
    return target.getvalue()


def _in_python() -> Iterator[tuple[Message, str]]:
    for app in OURS:
        for path in sorted((Path(settings.BASE_DIR) / app).rglob("*.py")):
            with path.open("rb") as source:
                for _line, message, _comments, _context in extract("python", source, keywords=KEYWORDS):
                    if message:
                        yield message, str(path.relative_to(settings.BASE_DIR))


def _in_templates(root: Path) -> Iterator[tuple[Message, str]]:
    for path in sorted(root.rglob("*.html")):
        if UNUSED & set(path.parts):
            continue
        for literal in CALL.findall(templatize(path.read_text(), origin=str(path))):
            yield ast.literal_eval(literal), path.name
