"""This process as a worker's: its tasks are traced as a pool process traces them."""

from typing import Any

from celery import current_app
from celery.app.trace import build_tracer, setup_worker_optimizations


def as_a_worker() -> None:
    app: Any = current_app
    app.finalize()
    app.loader.import_default_modules()
    setup_worker_optimizations(app._get_current_object())
    app.use_fast_trace_task = False
    for name, task in app.tasks.items():
        task.__trace__ = build_tracer(name, task, app.loader, app=app)
