# Eight targets do everything: demo, test, lint, bench, compiled, matrix, fuzz, dev. `make` alone says so.
PYTHON ?= python3
BIN := .venv/bin
COMPILED := .venv-compiled/bin
# What a second run of everything, compiled and with two workers, has nothing to add to (fuzzing inherits from the relay).
ONCE := $(addprefix --ignore tests/,contracts fuzz browser $(addprefix e2e/test_,$(addsuffix .py,benchmark bulk connect credentials \
	demo exchange flood grants impact install issuers kill_switch matrix notices policy providers secrets workers workloads)) \
	$(addprefix unit/,cli enforcement/test_emergencies.py enforcement/test_grants.py gateway identity notify secrets store web))

help:
	@echo "make demo   set up and watch Tidegate do its main job, with nothing else installed"
	@echo "make test   set up and run every check and test (as root on Debian: system packages too)"
	@echo "make lint   ruff, mypy and the import contracts only"
	@echo "make bench  what it costs, held to targets, beside a direct connection, haproxy and pgbouncer"
	@echo "make compiled  the compiled build in .venv-compiled, as users get it (docs/howto/build.md)"
	@echo "make matrix every client against every server version, directly and through Tidegate (docs/reference/clients.md)"
	@echo "make fuzz   hostile input, guided by coverage, against everything that reads bytes of strangers"
	@echo "make dev    the virtual environment for working on Tidegate"

demo: .venv/demo.done
	@$(BIN)/tidegate demo $(ARGS)

test: .venv/test.done
	@tools/system-packages
	@$(MAKE) --no-print-directory .venv/idp/done
	@$(MAKE) --no-print-directory lint
	tools/run-tests $(BIN)/python -n 3 --dist loadfile $(ARGS)
ifeq ($(ARGS),)
	@$(MAKE) --no-print-directory compiled
	TIDEGATE_EXPECTED_BUILD=compiled TIDEGATE_IDP=.venv/idp TIDEGATE_TEST_WORKERS=2 TIDEGATE_KILLS=2 tools/run-tests $(COMPILED)/python -n 3 --dist loadfile $(ONCE)
endif

lint: .venv/test.done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/test.done
	@tools/system-packages
	@$(BIN)/python tests/bench/compare.py $(ARGS)

compiled: .venv-compiled/test.done
	@$(COMPILED)/python -c 'from tidegate.build import BUILD; print("The build in .venv-compiled is", BUILD)'

matrix: .venv/matrix.done
	@tools/system-packages matrix
	@mkdir -p .venv/node && cp tests/matrix/programs/package.json .venv/node && npm install --silent --no-audit --no-fund --prefix .venv/node
	@$(BIN)/python tests/matrix/run.py --page docs/reference/clients.md $(ARGS)

fuzz: .venv/fuzz.done
	@$(BIN)/python tests/fuzz/run.py $(ARGS)

dev: .venv/test.done
	@echo "Ready. Try: . $(BIN)/activate && tidegate --help"

.venv/demo.done: pyproject.toml
	@PYTHON="$(PYTHON)" tools/virtual-environment demo

.venv/test.done: pyproject.toml
	@PYTHON="$(PYTHON)" tools/virtual-environment demo,test
	@touch .venv/demo.done

# What tests start of Node: the identity provider that people log in at, and clients.
.venv/idp/done: tests/idp/package.json
	@mkdir -p .venv/idp && cp tests/idp/package.json .venv/idp && npm install --silent --no-audit --no-fund --prefix .venv/idp
	@touch $@

.venv-compiled/test.done: pyproject.toml hatch_build.py $(shell find src -type f ! -name '*.pyc')
	@PYTHON="$(PYTHON)" tools/virtual-environment test compiled

.venv/matrix.done: pyproject.toml
	@PYTHON="$(PYTHON)" tools/virtual-environment demo,test,matrix
	@touch .venv/demo.done .venv/test.done

.venv/fuzz.done: pyproject.toml
	@PYTHON="$(PYTHON)" tools/virtual-environment demo,test,fuzz
	@touch .venv/demo.done .venv/test.done

.PHONY: help demo test lint bench compiled matrix fuzz dev
