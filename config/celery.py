"""The Celery application: queues from the settings, tasks from the modules named in CELERY_IMPORTS."""

import gc
import os

from celery import Celery
from celery.signals import import_modules, setup_logging, worker_process_init
from kombu import Exchange, Queue

from config import flower
from config.serving import alive, start

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")


@import_modules.connect  # before the application exists: Celery's own receiver must not come first
def refuse_wrong_start(sender: Celery, **_: object) -> None:
    """Worker and beat only: both pass here before they touch the database (at beat_init it is too late)."""
    if sender.loader.worker_initialized:
        start.refuse_wrong_start(web=False)


alive.watch()
if flower.IS_FLOWER:
    flower.install()
app = Celery(
    "punctual",
    control="jobs.control:Control",  # whose revoke is a durable cancel
    fixups=["config.fixup:install"],
    task_cls="config.fixup:PlainTask",
)
app.on_configure.connect(start.refuse_unreadable_settings)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()  # `tasks.py` of whoever adds an app; ours are in CELERY_IMPORTS
app.steps["worker"].add("jobs.standin:Step")  # ticks when beat and the clock do not
app.steps["worker"].add("jobs.dead_letters:Look")  # says what failed before this worker came
app.steps["worker"].add("jobs.requests:Watch")  # hears of dead pool processes at once


@app.on_after_configure.connect
def declare_queues(sender: Celery, **_: object) -> None:
    """Declare the job queues and the clock's queue; all of them direct (see settings)."""
    from django.conf import settings

    sender.conf.task_queues = [
        Queue(name, Exchange(name, type="direct"), routing_key=name)
        for name in (*settings.JOBS_QUEUES, settings.JOBS_CLOCK_QUEUE)
    ]


@setup_logging.connect
def keep_django_logging(**_: object) -> None:
    """A receiver here stops Celery from configuring logging: workers log as settings.LOGGING says."""


@worker_process_init.connect
def leave_the_code_out_of_the_garbage(**_: object) -> None:
    """What is imported by now stays. Each full collection went through all of it: a tenth of what small jobs cost."""
    gc.freeze()
