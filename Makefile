# make run    the digits pipeline, from real data to a pushed model
# make test   lint, types, import contracts, tests
# make setup  .venv from requirements/lock.txt; the other targets do it by themselves
# make clean  removes .venv, caches and build files; keeps data/ and runs/

BIN := .venv/bin
PYTHON := $(BIN)/python
# Newer than the lock means installed; written last, so that an interrupted installation is taken up again.
INSTALLED := .venv/.installed

# Every process of the tests would compile all modules again where the environment says so.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test setup clean

run: $(INSTALLED)
	$(PYTHON) -m examples.digits.data data/digits
	$(BIN)/penstock run configs/digits.yaml

test: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PYTHON) -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not e2e"
	$(PYTHON) -m pytest -n 3 --dist loadfile --no-loadscope-reorder -m e2e

setup: $(INSTALLED)

$(INSTALLED): requirements/lock.txt requirements/install.sh setup.py
	@sh requirements/install.sh
	@touch $@

clean:
	rm -rf .venv build dist penstock.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
