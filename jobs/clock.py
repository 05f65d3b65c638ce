"""The clock: one short Celery task per actor, for beat's ticks.

Served by a worker of its own, so busy job workers cannot hold up time. The ticks expire, repeat and may get lost:
each actor looks at the rows, not at the tick. Flower does not hear of them: within hours they would push all else out
of its memory.
"""

from celery import shared_task

from jobs import dispatcher, pruner, rescuer, ticks
from jobs.announcer import announcer


@shared_task(name="jobs.dispatch", ignore_result=True, store_errors_even_if_ignored=False, send_events=False)
def dispatch() -> int:
    sent = dispatcher.dispatch_due(by=ticks.CLOCK)
    announcer.announce()
    return sent


@shared_task(name="jobs.rescue", ignore_result=True, store_errors_even_if_ignored=False, send_events=False)
def rescue() -> None:
    rescuer.rescue_lost()


@shared_task(name="jobs.prune", ignore_result=True, store_errors_even_if_ignored=False)
def prune() -> None:
    """Not served by the clock's worker but among the jobs: it may take a minute."""
    pruner.prune()
