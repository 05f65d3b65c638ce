"""All operations of the API, as its description and its routers have them: a new one is asked by the tests too."""

from dataclasses import dataclass
from typing import Any

from config.api import api
from jobs.api.callers import Key
from jobs.ids import new_id

SCHEMA: Any = api.get_openapi_schema()


@dataclass(frozen=True)
class Described:
    """One operation. `scope` is what its keys need; None: any key, or none of ours opens it (`of_keys`)."""

    name: str
    method: str
    path: str
    scope: str | None
    of_keys: bool
    told: Any  # OpenAPI's words for it

    @property
    def names(self) -> list[str]:
        """Of the parameters in its path."""
        return [one["name"] for one in self.told.get("parameters", ()) if one["in"] == "path"]

    @property
    def has_body(self) -> bool:
        return "requestBody" in self.told

    def address(self, **said: Any) -> str:
        """With an id that nothing has for what is not said."""
        nothing = {
            one["name"]: new_id() if one["schema"].get("format") == "uuid" else 987654321
            for one in self.told.get("parameters", ())
            if one["in"] == "path"
        }
        return self.path.format(**nothing | said)


def _all() -> list[Described]:
    described = {
        one["operationId"]: (method, path, one)
        for path, methods in SCHEMA["paths"].items()
        for method, one in methods.items()
    }
    found = []
    for _prefix, router in api._routers:
        for view in router.path_operations.values():
            for operation in view.operations:
                name = operation.view_func.__name__
                if name not in described:  # there with DEBUG only
                    continue
                method, path, told = described.pop(name)
                keys = [one for one in operation.auth_callbacks if isinstance(one, Key)]
                found.append(Described(name, method, path, keys[0].scope if keys else None, bool(keys), told))
    left = {name for name, (_method, path, _told) in described.items() if path.startswith("/api/")}
    assert not left, f"described, and no operation: {left}"
    return found


OPERATIONS = _all()
