"""The clock: one short Celery task per actor, for beat's ticks.

Served by a worker of its own, so busy job workers cannot hold up time. The ticks expire, repeat and may get lost:
each actor looks at the rows, not at the tick.
"""

from celery import shared_task

from jobs import dispatcher, pruner, rescuer, ticks


@shared_task(name="jobs.dispatch", ignore_result=True, store_errors_even_if_ignored=False)
def dispatch() -> int:
    return dispatcher.dispatch_due(by=ticks.CLOCK)


@shared_task(name="jobs.rescue", ignore_result=True, store_errors_even_if_ignored=False)
def rescue() -> None:
    rescuer.rescue_lost()


@shared_task(name="jobs.prune", ignore_result=True, store_errors_even_if_ignored=False)
def prune() -> None:
    """Not served by the clock's worker but among the jobs: it may take a minute."""
    pruner.prune()
