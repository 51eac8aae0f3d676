# Every target works on a fresh machine with Python 3.11+ and make.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.PHONY: demo test quick test-ui test-stash docs check run bench chaos plugin wheel image release install dev format lint types clean

demo: install
	$(BIN)/stash2plex demo

test: dev lint types
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n auto --dist worksteal
	$(BIN)/coverage combine -q
	$(BIN)/coverage report
	$(BIN)/python tests/complete_coverage.py

# For daily work: under a minute, most of it the types.
quick: dev lint types
	$(BIN)/python -m pytest -q -n auto -m quick

# The page in Stash, in a real browser. `make test` skips this part where one is missing.
test-ui: dev $(VENV)/.ui tests/ui/node_modules/.installed
	test -x /usr/bin/chromium || { \
	  test "$$(id -u)" = 0 || { echo "install chromium, or run this as root"; exit 1; }; \
	  apt-get update -qq && \
	  apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null; }
	STASH2PLEX_REQUIRE_UI=1 $(BIN)/python -m pytest tests/ui

# With a real Stash: make test-stash STASH_BIN=/path/to/stash; see docs/contributing.md.
test-stash: dev
	@if [ -n "$(STASH_BIN)" ]; then \
	  STASH_BIN="$(STASH_BIN)" $(BIN)/python -m pytest tests/stash_real; \
	else echo "skipped: STASH_BIN names no Stash binary"; fi

# The documentation, into site/; see docs/contributing.md.
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict --clean

check: test

run: install
	$(BIN)/stash2plex run

bench: dev
	$(BIN)/python -m tests.bench

chaos: dev
	$(BIN)/python -m tests.chaos
	STASH2PLEX_HOURS_GONE=72 $(BIN)/python -m pytest -q tests/end_to_end/test_long_outages.py

wheel: dev
	$(BIN)/python -m hatchling build -d dist

# On another base: make image BASE=python:3.12-slim
image:
	docker build -f deploy/Dockerfile -t stash2plex $(if $(BASE),--build-arg BASE=$(BASE)) \
	  --build-arg VERSION=$$(sed -n 's/^__version__ = "\(.*\)"/\1/p' stash2plex/__init__.py) .

# Sets version and date, in the two files that hold them: make release VERSION=1.2.3
release: dev
	$(BIN)/python tests/release.py $(VERSION)

plugin: install
	$(BIN)/python -m stash2plex.plugin_source dist

lint: dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

types: dev
	$(BIN)/mypy

install: $(VENV)/.installed

dev: $(VENV)/.dev

$(VENV)/.installed: pyproject.toml
	test -x $(BIN)/pip || $(PYTHON) -m venv --clear $(VENV) || \
	  { echo "Python has no venv: apt install python3-venv, or the like of it"; exit 1; }
	$(BIN)/python -m pip install -q --disable-pip-version-check -e .
	touch $@

$(VENV)/.dev: pyproject.toml
	test -x $(BIN)/pip || $(PYTHON) -m venv --clear $(VENV) || \
	  { echo "Python has no venv: apt install python3-venv, or the like of it"; exit 1; }
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[dev]'
	touch $@ $(VENV)/.installed

$(VENV)/.ui: $(VENV)/.dev
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[ui]'
	touch $@

$(VENV)/.docs: pyproject.toml
	test -x $(BIN)/pip || $(PYTHON) -m venv --clear $(VENV) || \
	  { echo "Python has no venv: apt install python3-venv, or the like of it"; exit 1; }
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[docs]'
	touch $@

tests/ui/node_modules/.installed: tests/ui/package.json
	cd tests/ui && npm install --loglevel=error --no-audit --no-fund
	touch $@

clean:
	rm -rf $(VENV) dist build site .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache \
	  tests/ui/node_modules
