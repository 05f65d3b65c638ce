"""How gunicorn serves the site; read by every `gunicorn config.wsgi` that is started in this directory.

Workers: WEB_CONCURRENCY (gunicorn's own variable), else two. Arguments on the command line win.
"""

import os

bind = f"127.0.0.1:{os.environ.get('PORT', '8000')}"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
worker_class = "config.serving.web.Worker"  # gthread, with an end to slow clients
threads = 4

# The master imports the application, so wrong settings or missing migrations end it with one line.
# Without this each worker would be refused, and gunicorn would start the next one for ever.
preload_app = True

timeout = 30
graceful_timeout = 20
max_requests = 10_000  # a leak in a library costs a worker now and then, not the machine
max_requests_jitter = 1_000
limit_request_line = 8190  # the API answers itself when a query is too long, at 8,000
control_socket_disable = True  # nothing here uses it, and a read-only container cannot create it
accesslog = "-"
# No query string: it may hold a name.
access_log_format = "%(t)s %(m)s %(U)s %(s)s %(B)s bytes %(L)ss request=%({x-request-id}o)s"
if os.environ.get("LOG_FORMAT") == "json":  # gunicorn's own lines as well
    logconfig_dict = {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": "config.lines.Json"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": "INFO"},
        "loggers": {
            name: {"handlers": ["stderr"], "level": "INFO", "propagate": False}
            for name in ("gunicorn.error", "gunicorn.access")
        },
    }
