# Everything one does with Punctual. `make` alone lists it. Needs Python 3.11+ and make, nothing else.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := config jobs notifications tests bench manage.py gunicorn.conf.py
POSTGRES_URL ?= postgres://postgres@127.0.0.1:5432/postgres
REDIS_URL ?= redis://127.0.0.1:6379/9
PRODUCTION := SECRET_KEY=$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(48))') \
	PUBLIC_URL=https://punctual.example BEHIND_PROXY=true FROM_EMAIL=reminders@punctual.example ENV_FILE=/dev/null
# Where the marked tests are: to look through all others costs each process of a run six seconds.
STACK_TESTS := tests/stack tests/jobs/test_broker.py tests/test_settings.py
FAULTS_TESTS := tests/faults tests/stack tests/test_compose_services.py
UV := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header

# Where it is set, pytest rewrites all tests and each process that they start compiles all modules, each time anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup run demo test wide stack browser faults mutants fmt lint types deploy-check migrations-check test-postgres check lock clean

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# --- Setting up: the stamps make it happen again only when the requirements changed ---

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON). Install Python 3.11 or newer, or: make PYTHON=/path/to/python"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Punctual needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1). Try: make PYTHON=python3.12 ..."; exit 1; }
	@echo "Creating $(VENV) with $$($(PYTHON) -V) ..."
	@$(PYTHON) -m venv $(VENV) || { echo "On Debian and Ubuntu: apt install python3-venv"; rm -rf $(VENV); exit 1; }

$(VENV)/.runtime: requirements.txt | $(BIN)/python
	@echo "Installing the requirements into $(VENV) (once, a minute or so) ..."
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --progress-bar on --require-hashes -r requirements.txt
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.runtime
	@echo "Installing the development requirements into $(VENV) ..."
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --require-hashes -r requirements.txt -r requirements-dev.txt
	@touch $@

setup: $(VENV)/.runtime $(VENV)/.dev ## Create .venv with all that running and developing need

# --- Running ---

run: $(VENV)/.runtime ## Start everything: web, Flower, workers, beat, broker. Ctrl-C stops it
	@exec $(BIN)/python -m config.stack

demo: $(VENV)/.runtime ## Show on a stack of its own what Punctual does
	@exec $(BIN)/python manage.py demo

# --- Checking ---

test: $(VENV)/.dev ## Run the tests (all but wide tables of cases, and those that start stacks and browsers, or kill)
	@$(BIN)/python -m pytest -n 2 -m "not faults and not browser and not stack and not wide"

wide: $(VENV)/.dev ## Run every case of the wide tables: matrices of permissions, hostile files and fields, each command
	@$(BIN)/python -m pytest -n 2 -m "wide and not faults and not browser and not stack"

stack: $(VENV)/.dev ## Run the tests that start the whole stack as a user would
	@$(BIN)/python -m pytest -n 2 --dist loadscope -m "stack and not faults" $(STACK_TESTS)

browser: $(VENV)/.dev ## Run the tests that look at the pages with chromium (skipped without it)
	@$(BIN)/python -m pytest -n 2 --dist worksteal tests/browser

faults: $(VENV)/.dev ## Run the tests that kill real processes
	@$(BIN)/python -m pytest -n 4 --dist worksteal -m faults $(FAULTS_TESTS)

mutants: $(VENV)/.dev ## Take each guard out in turn: the tests have to notice (on PostgreSQL, if it answers)
	@if $(BIN)/python -c 'import psycopg, sys; psycopg.connect(sys.argv[1].replace("postgres://", "postgresql://"), connect_timeout=3)' "$(POSTGRES_URL)" 2>/dev/null; then \
		DATABASE_URL="$(POSTGRES_URL)" $(BIN)/python -m tests.mutants $(MUTANTS); \
	else \
		$(BIN)/python -m tests.mutants $(MUTANTS); \
	fi

fmt: $(VENV)/.dev ## Format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lint: $(VENV)/.dev ## Check format and style
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

types: $(VENV)/.dev ## Check the types (mypy, strict)
	@$(BIN)/mypy .

deploy-check: $(VENV)/.runtime ## Django's checks with production settings; warnings fail
	@$(PRODUCTION) $(BIN)/python manage.py check --deploy --fail-level WARNING

migrations-check: $(VENV)/.runtime ## Fail when a model change lacks its migration
	@$(PRODUCTION) $(BIN)/python manage.py makemigrations --check --dry-run

test-postgres: $(VENV)/.dev ## Run the tests that use the database on PostgreSQL and Redis, if they answer here
	@if $(BIN)/python -c 'import psycopg, sys; psycopg.connect(sys.argv[1].replace("postgres://", "postgresql://"), connect_timeout=3)' "$(POSTGRES_URL)" 2>/dev/null \
	  && $(BIN)/python -c 'import redis, sys; redis.Redis.from_url(sys.argv[1], socket_connect_timeout=3).ping()' "$(REDIS_URL)" 2>/dev/null; then \
		DATABASE_URL="$(POSTGRES_URL)" BROKER_URL="$(REDIS_URL)" $(BIN)/python -m pytest -n 2 --of-the-database -m "not faults and not stack and not browser"; \
	else \
		echo "Skipped test-postgres: no answer from $(POSTGRES_URL) or $(REDIS_URL). Set POSTGRES_URL and REDIS_URL to try others."; \
	fi

check: lint types migrations-check deploy-check test wide stack browser test-postgres faults ## All of these checks

# --- Upkeep ---

lock: ## Compile pyproject.toml into the requirements files, with hashes (needs uv)
	@command -v uv >/dev/null || { echo "make lock needs uv: https://docs.astral.sh/uv/"; exit 1; }
	@$(UV) pyproject.toml --output-file requirements.txt
	@$(UV) --group dev --constraint requirements.txt --output-file requirements-dev.txt

clean: ## Remove .venv and caches; never .env and data
	@rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
