"""The arguments of a job: checked against the task's signature and type hints, and kept as JSON.

Used by `Durable` when a call becomes a row, and by the executor when the row becomes a call. What does not fit is
refused before it is stored; what was stored by older code and does not fit any more fails with the reason.
"""

import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, PydanticUserError, TypeAdapter, ValidationError

LONGEST = 64 * 1024  # bytes of JSON; larger data belongs in storage, by reference
GATHERED = 16 * 1024 * 1024  # of a chord's body, whose argument is what all of its group returned
PLAIN = (type(None), bool, int, float, str, list, dict)  # an empty set or a Decimal of zero is none of them


_longest = ContextVar("longest", default=LONGEST)


class PayloadError(ValueError):
    """The arguments cannot be kept in a row, or do not fit the task. `argument` is the one that does not."""

    def __init__(self, text: str, argument: str = "") -> None:
        super().__init__(text)
        self.argument = argument


class TooLarge(PayloadError):
    """`size` is in bytes of JSON."""

    def __init__(self, text: str, size: int) -> None:
        super().__init__(text)
        self.size = size


class Payload:
    """The parameters of one task. Unannotated ones take any JSON value."""

    def __init__(self, function: Any) -> None:
        parameters = inspect.signature(function).parameters.values()
        hints = get_type_hints(function, include_extras=True)  # Annotated says what is allowed
        self._parameters = list(parameters)
        self.positional = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        self._adapters = {
            p.name: _adapter(p.name, hints[p.name])
            for p in parameters
            if p.name in hints and hints[p.name] is not Any and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        }

    def dump(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Python values to JSON values. Raises PayloadError."""
        checked = self._each(args, kwargs, self._dumped) if self._adapters else (list(args), dict(kwargs))
        return storable(checked[0], "arguments"), storable(checked[1], "keyword arguments")

    def load(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """JSON values back to Python values. Raises PayloadError."""
        return self._each(args, kwargs, self._checked) if self._adapters else (list(args), dict(kwargs))

    def schema(self) -> dict[str, Any]:
        """What the arguments are, by name, as JSON Schema."""
        mode: Any = "validation"
        found, common = TypeAdapter.json_schemas([(name, mode, one) for name, one in self._adapters.items()])
        properties: dict[str, Any] = {}
        required: list[str] = []
        for one in self._parameters:
            if one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD):
                continue
            properties[one.name] = dict(found.get((one.name, mode), {}))
            if one.default is one.empty:
                required.append(one.name)
            else:
                properties[one.name] |= _default(one.default)
        more = any(one.kind is one.VAR_KEYWORD for one in self._parameters)
        told = {"type": "object", "properties": properties, "required": required, "additionalProperties": more}
        return told | {name: value for name, value in common.items() if name == "$defs"}

    def _each(self, args: Sequence[Any], kwargs: Mapping[str, Any], do: Any) -> tuple[list[Any], dict[str, Any]]:
        named = [(self.positional[n] if n < len(self.positional) else "", value) for n, value in enumerate(args)]
        return [do(name, value) for name, value in named], {name: do(name, value) for name, value in kwargs.items()}

    def _checked(self, name: str, value: Any) -> Any:
        adapter = self._adapters.get(name)
        if adapter is None:
            return value
        try:
            return adapter.validate_python(value)
        except ValidationError as exc:
            where = ".".join(str(part) for part in (name, *exc.errors()[0]["loc"]))
            why = str(exc.errors()[0]["msg"]).removeprefix("Value error, ")
            raise PayloadError(f"Argument {where}: {why}.", where) from exc

    def _dumped(self, name: str, value: Any) -> Any:
        adapter = self._adapters.get(name)
        return value if adapter is None else adapter.dump_python(self._checked(name, value), mode="json")


def _adapter(name: str, hint: Any) -> TypeAdapter[Any]:
    try:
        if isinstance(hint, type) and issubclass(hint, BaseModel):
            return TypeAdapter(hint)
        # Else infinity and NaN would be stored as null, silently.
        return TypeAdapter(hint, config=ConfigDict(ser_json_inf_nan="constants"))
    except PydanticUserError as exc:
        raise TypeError(f"Argument {name}: {hint!r} cannot be kept in a row. Pass an id and load the object.") from exc


def _default(value: Any) -> dict[str, Any]:
    return {"default": value} if isinstance(value, str | int | float | bool | None) else {}


@contextmanager
def gathered() -> Iterator[None]:
    """Within the block a payload may be made of many: each of them was small enough."""
    token = _longest.set(GATHERED)
    try:
        yield
    finally:
        _longest.reset(token)


def storable(value: Any, what: str) -> Any:
    """The value as every database will give it back. Raises PayloadError."""
    if type(value) in PLAIN and not value:
        return value
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        size = len(text.encode())
    except UnicodeEncodeError as exc:
        raise PayloadError(f"The {what} hold half a surrogate pair, which databases refuse.") from exc
    except (TypeError, ValueError, RecursionError) as exc:
        raise PayloadError(f"The {what} cannot be stored as JSON ({exc}). Pass ids and plain values.") from exc
    if size > (longest := _longest.get()):
        text = f"The {what} take {size} bytes; at most {longest} are kept. Store the data, pass its id."
        raise TooLarge(text, size)
    if "\\u0000" in text.replace("\\\\", ""):  # not an escaped backslash before the letter u
        raise PayloadError(f"The {what} hold a NUL character, which databases refuse.")
    return json.loads(text)
