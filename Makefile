# Each target sets up what it needs, from nothing: a virtual environment in .venv with exact versions (Python 3.11 or
# newer for those; the package itself runs on 3.10 too).
PYTHON ?= python3
BIN := .venv/bin
# Python keeps compiled what it imports, also where the environment says otherwise (as in many containers): each process
# would compile torch anew. All that is installed, beforehand, would take as long as everything else here.
unexport PYTHONDONTWRITEBYTECODE
INSTALL := $(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt

.PHONY: demo test lint docs format bench clean

demo: .venv/ready-demo
	$(BIN)/deconv demo

test: .venv/ready-test
	$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist worksteal

lint: .venv/ready-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/basedpyright

docs: .venv/ready-test
	$(BIN)/python -m sphinx -b html -W --keep-going -q docs docs/_build/html

format: .venv/ready-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/ready-demo
	$(BIN)/deconv bench solver

clean:
	rm -rf .venv build dist *.egg-info docs/_build docs/copied docs/api/*.rst docs/api/generated

$(BIN)/python:
	$(PYTHON) -m venv .venv

.venv/ready-demo: $(BIN)/python pyproject.toml constraints.txt
	$(INSTALL) -e .
	touch $@

.venv/ready-test: $(BIN)/python pyproject.toml constraints.txt
	$(INSTALL) -e ".[dev]"
	touch $@ .venv/ready-demo
