"""How a text begins, capitals or not, by an index (`Folded`, `begins`); whether a row is `among` thousands; and what is
`Fixed` in a statement.

Used by the models and by `searches`. Django's `istartswith` is a pattern that PostgreSQL finds no index for unless its
texts are sorted letter by letter, and SQLite none unless the index knows no capitals. SQLite knows those of ASCII only.
"""

import json
from typing import Any

from django.db.models import BigAutoField, CharField, Func, Lookup, Value


class Folded(Func):
    """A text without capitals, in the order of its letters. For an index."""

    template = "%(expressions)s COLLATE NOCASE"
    arity = 1
    output_field = CharField()

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> tuple[str, Any]:
        return self.as_sql(compiler, connection, template='LOWER(%(expressions)s) COLLATE "C"', **extra)


class Fixed(Value):
    """A number or a word of ours within the text of a statement, as the condition of a partial index has it.

    SQLite chooses an index before it knows the parameters.
    """

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[str | int, ...]]:
        if isinstance(self.value, int):
            return str(int(self.value)), ()
        if not str(self.value).isidentifier():
            raise ValueError(f"{self.value!r} is no word of ours. Pass it as a parameter.")
        return f"'{self.value}'", ()


@CharField.register_lookup
class Begins(Lookup[Any]):
    """`name__begins="ad"`."""

    lookup_name = "begins"

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        return self._like(compiler, connection, "{} LIKE %s ESCAPE '\\'")

    def as_postgresql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        return self._like(compiler, connection, 'LOWER({}) COLLATE "C" LIKE LOWER(%s)')

    def _like(self, compiler: Any, connection: Any, template: str) -> tuple[str, list[Any]]:
        column, parameters = self.process_lhs(compiler, connection)
        return template.format(column), [*parameters, connection.ops.prep_for_like_query(self.rhs) + "%"]


@BigAutoField.register_lookup
class Among(Lookup[Any]):
    """`pk__among=ids`: as `pk__in`, with thousands of ids as one parameter, as the ledger has it for its own."""

    lookup_name = "among"
    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        column, parameters = self.process_lhs(compiler, connection)
        return f"{column} IN (SELECT value FROM json_each(%s))", [*parameters, json.dumps(self.rhs)]  # noqa: S608

    def as_postgresql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        column, parameters = self.process_lhs(compiler, connection)
        return f"{column} = ANY (%s::bigint[])", [*parameters, f"{{{','.join(map(str, self.rhs))}}}"]
