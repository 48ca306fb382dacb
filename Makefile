# Two commands do everything on a fresh machine: `make serve` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Many tests wait for another process: with fewer than two for each core, cores would be idle.
WORKERS ?= $(shell $(PYTHON) -c "import os; print((os.cpu_count() or 2) * 2)")
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check install

.PHONY: serve test check docs bench lock clean

serve: $(VENV)/.serve
	@$(BIN)/ours-emulator serve $(ARGS)

test: $(VENV)/.test
	$(BIN)/pytest --numprocesses=$(WORKERS) --dist=worksteal $(ARGS)

# Parts that do not wait for each other: `make --jobs=2 check` takes half the time.
PARTS := check-generated check-packages check-style check-mypy check-pyright check-imports
.PHONY: $(PARTS)
check: $(PARTS)
$(PARTS): $(VENV)/.check

check-generated:
	$(BIN)/python scripts/generate_sync.py --check
	$(BIN)/python scripts/generate_table_sql.py --check
	$(BIN)/python scripts/derive_revision.py --check

# What packages of npm check.
check-packages:
	$(BIN)/python scripts/build_javascript_client.py --check
	$(BIN)/python scripts/build_inspector.py --check
	$(BIN)/python scripts/check_workflows.py

check-style:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

check-mypy:
	$(BIN)/mypy

check-pyright:
	$(BIN)/pyright

check-imports:
	$(BIN)/lint-imports

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

bench: $(VENV)/.test
	$(BIN)/python benchmarks/bench.py $(if $(PEERS),--peers) $(ARGS)
	$(BIN)/python benchmarks/postgresql.py --if-installed $(filter --quick,$(ARGS))

# What the image installs, renewed.
lock: $(VENV)/.release
	$(BIN)/python scripts/lock_image.py

clean:
	rm -rf $(VENV) .peers dist build

# Each stamp is older than what it installs from only when that changed, so repeated calls start at once.
$(VENV)/.serve: pyproject.toml
	@echo "Setting up $(VENV) and installing the emulator (once, up to a minute)..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) --upgrade "pip>=25.1"
	@$(PIP) --editable ".[plan,metrics]"
	@touch $@

$(VENV)/.docs: $(VENV)/.serve
	@$(PIP) --group docs
	@touch $@

# The tests build the site, too.
$(VENV)/.test: $(VENV)/.docs scripts/install_sdk.py tests/sdk.txt tests/sdk-needs.txt tests/sdk-suite.txt
	@$(PIP) --group test
	@$(BIN)/python scripts/install_sdk.py
	@touch $@

$(VENV)/.check: $(VENV)/.test
	@$(PIP) --group check
	@touch $@

$(VENV)/.release: $(VENV)/.serve
	@$(PIP) --group release
	@touch $@
