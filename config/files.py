"""The settings of what is kept beside the database: static files, files of jobs, and the cache.

Part of `settings`, which imports all of it; `.env.example` explains each variable.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from config.environment import DATA_DIR, env

API_PAGES = Path(str(find_spec("ninja").origin)).parent  # type: ignore[union-attr]  # found, not imported: it is no app
STATICFILES_DIRS = [API_PAGES / "static"]

STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
MEDIA_ROOT = DATA_DIR / "media"
STORAGES: dict[str, Any] = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
    # Files that jobs take and make. Nobody serves the directory: jobs/library/downloads.py does, by links that expire.
    "jobs": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {
            "location": MEDIA_ROOT / "jobs",
            "file_permissions_mode": 0o600,
            "directory_permissions_mode": 0o700,
        },
    },
}
JOBS_WORK_DIR = MEDIA_ROOT / "work"  # what is half done; shared by the workers, so that another one can go on
# Beneath these, and nowhere else, `jobs.clean_up` deletes files.
JOBS_CLEAN_ROOTS = {
    "work": JOBS_WORK_DIR,
    "outbox": DATA_DIR / "outbox",
    "logs": Path(env.str("LOG_DIR", default=str(DATA_DIR / "logs"))),
}
JOBS_KEEP_FILES_DAYS = env.int("JOBS_KEEP_FILES_DAYS", default=7)
JOBS_LINK_SECONDS = env.int("JOBS_LINK_SECONDS", default=86400)

# In the database, so that all processes see the same and nothing more is needed. A Redis of its own is faster.
CACHES = {"default": env.cache("CACHE_URL", default="dbcache://punctual_cache")}
