"""How the database goes about each statement on the table of jobs: by which index, and how much of it it reads.

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
ON_JOBS = re.compile(rf"^\s*(SELECT|UPDATE|WITH)\b.*\b{TABLE}\b", re.DOTALL | re.IGNORECASE)
OTHERS = "lanes|open_lanes|walk|names|found|first|json_each|rows"  # what queries call what is no table


@dataclass
class Plan:
    sql: str
    text: str
    indexes: set[str]
    whole: bool  # it goes through all jobs
    pages: int  # of the table and its indexes, looked at; PostgreSQL says how many


@contextmanager
def explained() -> Iterator[list[Plan]]:
    plans: list[Plan] = []
    busy = False

    def explain(execute: Callable[..., Any], sql: str, parameters: Any, many: bool, context: Any) -> Any:
        nonlocal busy
        if not busy and ON_JOBS.match(sql):
            busy = True
            try:
                plans.append(_explain(sql, parameters))
            finally:
                busy = False
        return execute(sql, parameters, many, context)

    with connection.execute_wrapper(explain):
        yield plans


def _explain(sql: str, parameters: Any) -> Plan:
    on_postgresql = connection.vendor == "postgresql"
    how = "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) " if on_postgresql else "EXPLAIN QUERY PLAN "
    point = transaction.savepoint()  # explaining an UPDATE with ANALYZE runs it
    with connection.cursor() as cursor:
        cursor.execute(how + sql, parameters)
        rows = cursor.fetchall()
    transaction.savepoint_rollback(point)
    return _of_postgresql(sql, rows[0][0]) if on_postgresql else _of_sqlite(sql, [str(row[-1]) for row in rows])


def _of_postgresql(sql: str, answer: Any) -> Plan:
    top = (json.loads(answer) if isinstance(answer, str) else answer)[0]["Plan"]
    nodes = list(_nodes(top))
    indexes = {node["Index Name"] for node in nodes if "Index Name" in node}
    whole = any(node["Node Type"] == "Seq Scan" and node.get("Relation Name") == TABLE for node in nodes)
    pages = top["Shared Hit Blocks"] + top["Shared Read Blocks"]
    return Plan(sql, json.dumps(top, indent=1), indexes, whole, pages)


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for inner in node.get("Plans", ()):
        yield from _nodes(inner)


def _of_sqlite(sql: str, lines: list[str]) -> Plan:
    text = "\n".join(lines)
    indexes = set(re.findall(r"USING (?:COVERING )?INDEX (\w+)", text))
    whole = any(re.match(rf"SCAN (?!{OTHERS}|\()\w+(?! VIRTUAL)", line) and "INDEX" not in line for line in lines)
    return Plan(sql, text, indexes, whole, 0)
