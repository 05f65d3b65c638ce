"""What is logged, and how: a line each on stderr, for whoever keeps it (Docker, systemd, `make run`). Imported whole by
`settings`. Lines have ids, never names, addresses or words of messages; `lines` is how they are written.
"""

from typing import Any

from config.environment import env

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
LOG_FORMATS = {"text": "config.lines.Text", "json": "config.lines.Json"}
LOG_FORMAT = env.str("LOG_FORMAT", default="text", choices=tuple(LOG_FORMATS))
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": LOG_FORMATS[LOG_FORMAT]}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": env.str("LOG_LEVEL", default="INFO", choices=LOG_LEVELS)},
    "loggers": {
        # One line a second per tick, and the arguments of every task, are not for the log.
        "celery.app.trace": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.beat": {"level": "WARNING"},
        "django_celery_beat": {"level": "WARNING"},
        "flower.inspector": {
            "level": "ERROR"
        },  # it asks at once, and warns that workers which still start do not answer
    },
}
