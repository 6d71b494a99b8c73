# Five targets do everything: demo, test, lint, bench, dev. `make` alone says so.
PYTHON ?= python3
BIN := .venv/bin

help:
	@echo "make demo   set up and watch Tidegate do its main job, with nothing else installed"
	@echo "make test   set up and run every check and test (as root on Debian: system packages too)"
	@echo "make lint   ruff, mypy and the import contracts only"
	@echo "make bench  what it costs, beside a direct connection, haproxy and pgbouncer (docs/reference/benchmark.md)"
	@echo "make dev    the virtual environment for working on Tidegate"

demo: .venv/demo.done
	@$(BIN)/tidegate demo $(ARGS)

test: .venv/test.done
	@tools/system-packages
	@$(MAKE) --no-print-directory lint
	$(BIN)/python -m pytest $(ARGS)

lint: .venv/test.done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/test.done
	@tools/system-packages
	@$(BIN)/python tests/bench/compare.py $(ARGS)

dev: .venv/test.done
	@echo "Ready. Try: . $(BIN)/activate && tidegate --help"

.venv/demo.done: pyproject.toml
	@PYTHON="$(PYTHON)" tools/virtual-environment demo

.venv/test.done: pyproject.toml
	@PYTHON="$(PYTHON)" tools/virtual-environment demo,test
	@touch .venv/demo.done

.PHONY: help demo test lint bench dev
