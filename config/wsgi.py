"""The door for gunicorn. It must be preloaded (gunicorn.conf.py): then a refused start ends the server."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from django.core.wsgi import get_wsgi_application

from config.serving.start import refuse_wrong_start

refuse_wrong_start(web=True)
application = get_wsgi_application()
