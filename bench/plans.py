"""How the database goes about each statement on a table (that of jobs, if no other is named): by which index, and how
much of it it reads.

Used by `bench.million` and by the tests of plans, as `with explained() as plans: ...` in a transaction. A statement is
explained before it is run, with its parameters as they are: SQLite plans before it knows them.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

TABLE = "jobs_job"
# What queries call what is no table.
OTHERS = "CONSTANT|few|minutes|counted|lanes|open_lanes|walk|names|found|first|json_each|rows|subquery"


@dataclass
class Plan:
    sql: str
    text: str
    indexes: set[str]
    whole: bool  # it goes through all rows of the table
    pages: int  # of the table and its indexes, looked at; PostgreSQL says how many


@contextmanager
def explained(table: str = TABLE) -> Iterator[list[Plan]]:
    plans: list[Plan] = []
    busy = False
    on_it = re.compile(rf"^[\s(]*(SELECT|UPDATE|WITH)\b.*\b{table}\b", re.DOTALL | re.IGNORECASE)

    def explain(execute: Callable[..., Any], sql: str, parameters: Any, many: bool, context: Any) -> Any:
        nonlocal busy
        if not busy and on_it.match(sql):
            busy = True
            try:
                plans.append(_explain(sql, parameters, table))
            finally:
                busy = False
        return execute(sql, parameters, many, context)

    with connection.execute_wrapper(explain):
        yield plans


def _explain(sql: str, parameters: Any, table: str) -> Plan:
    on_postgresql = connection.vendor == "postgresql"
    how = "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) " if on_postgresql else "EXPLAIN QUERY PLAN "
    point = transaction.savepoint()  # explaining an UPDATE with ANALYZE runs it
    with connection.cursor() as cursor:
        cursor.execute(how + sql, parameters)
        rows = cursor.fetchall()
    transaction.savepoint_rollback(point)
    if on_postgresql:
        return _of_postgresql(sql, rows[0][0], table)
    return _of_sqlite(sql, [str(row[-1]) for row in rows], table)


def _of_postgresql(sql: str, answer: Any, table: str) -> Plan:
    top = (json.loads(answer) if isinstance(answer, str) else answer)[0]["Plan"]
    nodes = list(_nodes(top))
    indexes = {node["Index Name"] for node in nodes if "Index Name" in node}
    whole = any(node["Node Type"] == "Seq Scan" and node.get("Relation Name") == table for node in nodes)
    pages = top["Shared Hit Blocks"] + top["Shared Read Blocks"]
    return Plan(sql, json.dumps(top, indent=1), indexes, whole, pages)


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for inner in node.get("Plans", ()):
        yield from _nodes(inner)


def _of_sqlite(sql: str, lines: list[str], table: str) -> Plan:
    """Of jobs, each scan is told that is not of something known; of another table, those under a name of its own."""
    aliases = set(re.findall(r'"(\w+)" ([A-Z]\d+)', sql))
    own = {alias for one, alias in aliases if one == table} - {alias for one, alias in aliases if one != table}
    names = rf"(?!{OTHERS}|\()\w+" if table == TABLE else "|".join([table, *sorted(own)])
    text = "\n".join(lines)
    indexes = set(re.findall(r"USING (?:COVERING )?INDEX (\w+)", text))
    whole = any(re.match(rf"SCAN ({names})\b(?! VIRTUAL)", line) and "INDEX" not in line for line in lines)
    return Plan(sql, text, indexes, whole, 0)
