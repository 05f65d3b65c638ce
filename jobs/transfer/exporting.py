"""Jobs into a file, as they are at one moment.

Used by `manage.py jobs export`. One statement reads them all, a thousand at a time, so the file is of one moment
though the work goes on, and a million jobs need no more memory than a thousand.
"""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from jobs import registry
from jobs.bulk import database_now
from jobs.listing import Selection
from jobs.models import Job
from jobs.scopes import ALL, Scope
from jobs.transfer import ours
from jobs.transfer.owed import Record

AT_A_TIME = 1_000


def export(
    selection: Selection, file: BinaryIO, *, scope: Scope = ALL, told: Callable[[int], object] = lambda _done: None
) -> Record:
    """Write them. Returns the last line, and what an import will not take. `told` hears how many are written."""
    tally, left = ours.Tally(), Counter[str]()
    internal = {name for name in registry.names() if registry.named(name).internal}
    _write(file, ours.header(selection.model_dump(mode="json", exclude_defaults=True), database_now()), tally)
    rows = selection.rows(scope.rows(Job.objects.all())).order_by("pk")
    for done, job in enumerate(rows.iterator(chunk_size=AT_A_TIME), 1):
        tally.counts[job.state] += 1
        _write(file, ours.row(job), tally)
        if done % AT_A_TIME == 0:
            told(done)
        left["running"] += job.state == Job.State.RUNNING
        left["awaited"] += bool(job.group_id) and job.state in Job.UNFINISHED
        left["internal"] += job.task in internal and job.state in (*Job.UNFINISHED, Job.State.FAILED)
        left["of_groups"] += bool(job.group_id) and job.state not in Job.UNFINISHED
    footer = tally.footer()
    file.write(ours.written(footer))
    return {**footer, "left": {name: number for name, number in left.items() if number}}


def to_path(selection: Selection, path: Path, *, told: Callable[[int], object] = lambda _done: None) -> Record:
    """The same into a file that only its owner may read, and that is there as a whole or not at all."""
    part = path.with_name(f"{path.name}.part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            footer = export(selection, file, told=told)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return footer


def _write(file: BinaryIO, record: Record, tally: ours.Tally) -> None:
    line = ours.written(record)
    tally.line(line)
    file.write(line)
