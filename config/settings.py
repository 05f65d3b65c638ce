"""Every setting of the application. All that varies between installations comes from the environment.

Read by Django, Celery, beat and Flower alike. `.env` in the project directory is read when it exists
(`make run` writes one); real environment variables win over it. `.env.example` explains each variable.
"""

from urllib.parse import urlsplit

import django
import django_stubs_ext
from phonenumbers import SUPPORTED_REGIONS

from config.environment import BASE_DIR, DATA_DIR, HTTPS, PUBLIC_URL, database, env
from config.files import *  # noqa: F403
from config.files import API_PAGES
from config.logins import *  # noqa: F403
from config.logs import *  # noqa: F403
from config.messages import *  # noqa: F403
from config.retention import *  # noqa: F403
from config.theme.options import *  # noqa: F403

django_stubs_ext.monkeypatch()  # lets ModelAdmin[Job] be written where types are checked

# --- Where we are reached ------------------------------------------------------------------------------
# One address decides the rest: https switches on redirects, HSTS and secure cookies.

DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="")  # empty: Django refuses to serve and says so
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])
# Whether people who see all are told of tenants, and asked for them. Who is limited to some never sees others.
TENANTS = env.bool("TENANTS", default=False)
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")  # empty: there are no /metrics
ALLOWED_HOSTS = [urlsplit(PUBLIC_URL).hostname or "127.0.0.1", *env.list("ALLOWED_HOSTS", default=[])]
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]

SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^health/", r"^metrics$"]  # probes ask the process itself, past the proxy
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env.bool("BEHIND_PROXY", default=False) else None
SECURE_HSTS_SECONDS = 365 * 86400 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_AGE = 12 * 3600
X_FRAME_OPTIONS = "DENY"

# --- The application -----------------------------------------------------------------------------------

INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",  # before the admin, whose templates it replaces
    "unfold.contrib.filters",
    "config.apps.AdminConfig",  # django.contrib.admin, without its pages where nobody sees them
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_celery_beat",
    "django_celery_results",
    *(["django_tasks"] if django.VERSION < (6, 0) else []),  # Django 6 has it as django.tasks
    "phonenumber_field",
    "axes",
    "csp",
    "config",
    "jobs",
    "notifications",
]

MIDDLEWARE = [
    "config.request_ids.middleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "config.addresses.middleware",  # after the one that knows the language
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "notifications.admin.masking.middleware",  # after the one that knows the user
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",  # last: it answers for the login view
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
LOGIN_REDIRECT_URL, LOGIN_URL = "admin:index", "admin:login"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates", API_PAGES / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

LANGUAGE_CODE = "en"
LOCALE_PATHS = [BASE_DIR / "locale"]
FORMAT_MODULE_PATH = "config.formats"
USE_TZ = True
TIME_ZONE = env.str("TIME_ZONE", default="UTC")  # the zone of venues and customers that name none
PHONENUMBER_DEFAULT_REGION = env.str("PHONE_REGION", default=None, choices=(None, "", *SUPPORTED_REGIONS))
PHONENUMBER_DB_FORMAT = "E164"

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Database ------------------------------------------------------------------------------------------

DATABASES = {"default": database(env.db("DATABASE_URL", default=f"sqlite:///{DATA_DIR / 'punctual.sqlite3'}"))}

# --- Celery --------------------------------------------------------------------------------------------
# A message is only a nudge to look at a row of the ledger (jobs/), so everything that would make the
# broker the keeper of work is off: late acks, eta, countdown, revoke as truth.

BROKER_PORT = env.int("BROKER_PORT", default=6399)  # of the Valkey that `make run` starts
CELERY_BROKER_URL = env.str("BROKER_URL", default=f"redis://127.0.0.1:{BROKER_PORT}/0")
CELERY_BROKER_TRANSPORT_OPTIONS = (
    {
        "socket_connect_timeout": 5,
        "socket_timeout": 30,
        "socket_keepalive": True,
        "health_check_interval": 10,
    }
    if CELERY_BROKER_URL.startswith(("redis:", "rediss:", "redis+socket:", "sentinel:"))
    else {"confirm_publish": True}
)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # a broker may stay away for a night
CELERY_BROKER_CONNECTION_TIMEOUT = 5
CELERY_TASK_PUBLISH_RETRY = False  # the dispatcher tries again at its next tick

CELERY_TASK_SERIALIZER = CELERY_RESULT_SERIALIZER = CELERY_EVENT_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = CELERY_RESULT_ACCEPT_CONTENT = ["json"]

# Direct queues only: kombu drops messages silently when a named exchange has lost its bindings.
JOBS_QUEUES = env.list("JOBS_QUEUES", default=["default", "messages"])
JOBS_CLOCK_QUEUE = "clock"  # beat's ticks, served by a worker of their own
CELERY_TASK_DEFAULT_QUEUE = (JOBS_QUEUES or ["default"])[0]  # none at all is refused by config/checks.py
CELERY_TASK_CREATE_MISSING_QUEUES = False

# How long finished jobs are kept: so many days, and of those at most so many (0: all of them). Failed jobs wait for a
# person, so they have no such number. A deleted job's unique key outlives it: a late second call is still the first.
JOBS_KEEP_DAYS = {
    "succeeded": env.int("JOBS_KEEP_SUCCEEDED_DAYS", default=7),
    "cancelled": env.int("JOBS_KEEP_CANCELLED_DAYS", default=30),
    "expired": env.int("JOBS_KEEP_EXPIRED_DAYS", default=30),
    "failed": env.int("JOBS_KEEP_FAILED_DAYS", default=90),
}
JOBS_KEEP_COUNT = {
    "succeeded": env.int("JOBS_KEEP_SUCCEEDED_COUNT", default=0),
    "cancelled": env.int("JOBS_KEEP_CANCELLED_COUNT", default=0),
    "expired": env.int("JOBS_KEEP_EXPIRED_COUNT", default=0),
}
JOBS_KEEP_KEYS_DAYS = env.int("JOBS_KEEP_KEYS_DAYS", default=400)

# The most processes that one may ask for, and that a worker's pool may grow to. Each is a process with its own memory.
JOBS_MAX_PROCESSES = env.int("JOBS_MAX_PROCESSES", default=32)

# How late a job may be, in seconds: by it the dashboard says what is late, and how many processes are needed.
LATENESS_GOAL = env.int("LATENESS_GOAL", default=60)

CELERY_TASK_ACKS_LATE = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CONCURRENCY = env.int("WORKER_CONCURRENCY", default=2)
CELERY_WORKER_MAX_TASKS_PER_CHILD = 10_000
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_SEND_TASK_EVENTS = env.bool("CELERY_EVENTS", default=True)  # what Flower shows
CELERY_TASK_SEND_SENT_EVENT = False  # jobs tell it themselves, by their own names; of ticks nobody wants to hear

CELERY_TASK_TIME_LIMIT = env.int("TASK_TIME_LIMIT", default=540)  # seconds; a task may set its own
CELERY_TASK_SOFT_TIME_LIMIT = CELERY_TASK_TIME_LIMIT * 9 // 10

CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_STORE_ERRORS_EVEN_IF_IGNORED = True
CELERY_RESULT_BACKEND = "jobs.results:LedgerBackend"  # django-celery-results behind the ledger
CELERY_RESULT_EXTENDED = True
CELERY_RESULT_EXPIRES = 7 * 86400

CELERY_TIMEZONE = "UTC"
CELERY_IMPORTS = [
    "jobs.bulk_orders",
    "jobs.clock",
    "jobs.executor",
    *(f"jobs.library.{kind}" for kind in ("clean_up", "exports", "pictures", "texts", "warm")),
    "jobs.revoking",
    "jobs.task_runner",
    "notifications.consent",
    "notifications.direct",
    "notifications.doubts",
    "notifications.pruner",
    "notifications.reminders",
    "notifications.reconciler",
    *(["config.demo.errors", "config.demo.welcome"] if DEBUG else []),
    "notifications.reports.mails",
    "notifications.reports.reports",
]
CELERY_BEAT_SCHEDULER = "jobs.schedules:Scheduler"  # an occurrence of a durable task is one job
CELERY_BEAT_SYNC_EVERY = 1  # else a killed beat forgets up to 180 s of what it ran
CELERY_BEAT_MAX_LOOP_INTERVAL = 5
CELERY_BEAT_SCHEDULE = {
    # Every tick expires: without a clock worker ticks must not pile up.
    "jobs: dispatch what is due": {
        "task": "jobs.dispatch",
        "schedule": 1.0,
        "options": {"queue": JOBS_CLOCK_QUEUE, "expire_seconds": 5},
    },
    "jobs: rescue what was lost": {
        "task": "jobs.rescue",
        "schedule": 5.0,
        "options": {"queue": JOBS_CLOCK_QUEUE, "expire_seconds": 15},
    },
    "jobs: delete what has been over for long": {
        "task": "jobs.prune",
        "schedule": 3600.0,
        "options": {"queue": CELERY_TASK_DEFAULT_QUEUE, "expire_seconds": 3600},
    },
    "jobs: clean up what is over": {
        "task": "jobs.clean_up",
        "schedule": 86400.0,
        "kwargs": {"wanted": {"what": ["temp_files", "expired_files", "expired_sessions"], "older_than": 86400}},
        "options": {"queue": CELERY_TASK_DEFAULT_QUEUE, "expire_seconds": 86400},
    },
    "notifications: count the day ahead of time": {
        "task": "jobs.warm_cache",
        "schedule": 300.0,
        "kwargs": {"source": "notifications.day", "ttl": 900},
        "options": {"queue": CELERY_TASK_DEFAULT_QUEUE, "expire_seconds": 300},
    },
    "notifications: end what its job left open": {
        "task": "notifications.settle",
        "schedule": 60.0,
        "options": {"queue": JOBS_CLOCK_QUEUE, "expire_seconds": 60},
    },
    "notifications: ask what became of doubts": {
        "task": "notifications.look_up",
        "schedule": 300.0,
        "options": {"queue": "messages", "expire_seconds": 300},
    },
    "notifications: delete what nobody sees any more": {
        "task": "notifications.prune",
        "schedule": 3600.0,
        "options": {"queue": CELERY_TASK_DEFAULT_QUEUE, "expire_seconds": 3600},
    },
    **RETENTION,  # noqa: F405  # nothing, unless somebody set it
    "notifications: plan what is missing": {
        "task": "notifications.reconcile",
        "schedule": 3600.0,
        "options": {"queue": CELERY_TASK_DEFAULT_QUEUE, "expire_seconds": 3600},
    },
}

# Django's own Tasks API runs on the ledger as well.
TASKS = {"default": {"BACKEND": "jobs.backends.DurableBackend"}}
