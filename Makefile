# The front page: `make help` lists what can be done here. Needs Python 3.11+, git and make; everything else is brought.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/sh

BIN := .venv/bin
UV := scripts/uv
# Development tools are a superset of the runtime: once they are in, a start never takes them out again.
SET := $(if $(wildcard .venv/.dev),dev,runtime)

.PHONY: help
help: ## Show this page
	@echo 'Insula: agents that answer from each tenant'\''s own documents, streamed and cited.'
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo 'Settings are environment variables (INSULA_PORT, INSULA_HOST, INSULA_DATA_DIR, ANTHROPIC_API_KEY, ...).'

.PHONY: run
run: .venv/.runtime ## Start the service with everything in one process; a second start takes seconds
	@exec $(BIN)/insula up

.PHONY: demo
demo: .venv/.runtime ## Upload the sample documents, ask three questions, print the cited answers
	@exec $(BIN)/insula demo

.PHONY: test
test: .venv/.dev ## Run the whole test suite (ARGS="tests/unit -k name" narrows it)
	@exec $(BIN)/pytest $(ARGS)

.PHONY: coverage
coverage: .venv/.dev ## Run the tests and report branch coverage of app/
	@$(BIN)/pytest --cov=app --cov-branch --cov-report=term $(ARGS)

.PHONY: check
check: .venv/.dev ## Format, lint, strict types, import contracts, own rules, locks
	@exec $(BIN)/python -m scripts.check

.PHONY: format
format: .venv/.dev ## Rewrite the code the way `make check` wants it
	@$(BIN)/ruff check --fix --exit-zero --quiet .
	@$(BIN)/ruff format .

.PHONY: measure
measure: .venv/.dev ## Print median, 90th percentile and largest of function and file length
	@exec $(BIN)/python -m scripts.measure_code

.PHONY: lock
lock: .uv/.ready ## Resolve pyproject.toml anew into requirements/*.txt (ARGS="--upgrade" for the newest)
	@scripts/lock $(ARGS)

.PHONY: clean
clean: ## Remove environments and caches; the data directory stays
	rm -rf .venv .uv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .coverage .coverage.* htmlcov dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.uv/.ready: requirements/uv.txt scripts/bootstrap
	@scripts/bootstrap

.venv/.created: .uv/.ready
	@echo 'Making the environment in .venv'
	@$(UV) venv --quiet --allow-existing --python .uv/bin/python .venv
	@touch $@

.venv/.runtime: requirements/$(SET).txt scripts/link_project.py .venv/.created
	@echo 'Installing the locked dependencies ($(SET))'
	@$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements/$(SET).txt
	@$(BIN)/python scripts/link_project.py
	@touch $@

.venv/.dev: requirements/dev.txt scripts/link_project.py .venv/.created
	@echo 'Installing the locked dependencies (dev)'
	@$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements/dev.txt
	@$(BIN)/python scripts/link_project.py
	@touch .venv/.runtime $@
