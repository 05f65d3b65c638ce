# The one image of web, workers, clock, beat, flower and migrate; docker-compose.yml says which it becomes.
# Settings come from the environment at start: nothing secret is needed, or kept, here.

FROM python:3.12-slim-bookworm AS packages
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /venv
COPY requirements.txt .
# Wheels alone, each with a hash that we know: no package runs code of its own while it is installed.
RUN /venv/bin/pip install --require-hashes --only-binary :all: -r requirements.txt

FROM python:3.12-slim-bookworm
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 DATA_DIR=/data LOG_FORMAT=json
RUN groupadd --system --gid 10001 punctual \
    && useradd --system --uid 10001 --gid punctual --home-dir /nonexistent --shell /usr/sbin/nologin punctual \
    && install -d -o punctual -g punctual /data /data/media /data/flower
COPY --from=packages /venv /venv
WORKDIR /app
COPY . .
# Into the image, not into a volume: files of an older release must not survive an upgrade.
RUN python -m compileall -q . && python manage.py collectstatic --noinput
USER punctual
EXPOSE 8000
CMD ["gunicorn", "config.wsgi", "--bind", "0.0.0.0:8000"]
