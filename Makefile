# Two commands do everything on a fresh machine: `make serve` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check install

.PHONY: serve test check bench lock clean

serve: $(VENV)/.serve
	@$(BIN)/ours-emulator serve $(ARGS)

test: $(VENV)/.test
	$(BIN)/pytest --numprocesses=auto $(ARGS)

check: $(VENV)/.check
	$(BIN)/python scripts/generate_sync.py --check
	$(BIN)/python scripts/generate_table_sql.py --check
	$(BIN)/python scripts/derive_revision.py --check
	$(BIN)/python scripts/build_inspector.py --check
	$(BIN)/python scripts/check_workflows.py
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports

bench: $(VENV)/.test
	$(BIN)/python benchmarks/bench.py $(if $(PEERS),--peers) $(ARGS)

# What the image installs, renewed.
lock: $(VENV)/.release
	$(BIN)/python scripts/lock_image.py

clean:
	rm -rf $(VENV) .peers dist build

# Each stamp is older than what it installs from only when that changed, so repeated calls start at once.
$(VENV)/.serve: pyproject.toml
	@echo "Setting up $(VENV) (once)..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) --upgrade "pip>=25.1"
	@$(PIP) --editable .
	@touch $@

$(VENV)/.test: $(VENV)/.serve tests/sdk.txt tests/sdk-needs.txt
	@$(PIP) --group test --requirement tests/sdk-needs.txt
	@$(PIP) --no-deps --requirement tests/sdk.txt
	@touch $@

$(VENV)/.check: $(VENV)/.test
	@$(PIP) --group check
	@touch $@

$(VENV)/.release: $(VENV)/.serve
	@$(PIP) --group release
	@touch $@
