# The developer's and the first user's interface. Needs Python 3.10 to 3.12 and nothing else.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
RUN    := runs/quickstart
DATA   := examples/crosswoz_intent
# More options for the fine-tuning of the quickstart, such as --max-steps 20.
FINETUNE_OPTIONS ?=

.PHONY: help install install-dev quickstart test lint types format clean

help:
	@echo "make quickstart   install into $(VENV), then fine-tune, evaluate, predict and export"
	@echo "make test         install the test extras into $(VENV) and run the tests"
	@echo "make lint types   check style and types"

# Each stamp is newer than the files it was installed from.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[report,onnx]"
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

install: $(VENV)/.installed

install-dev: $(VENV)/.installed-dev

quickstart: install
	$(BIN)/hub finetune $(DATA)/train.tsv --dev $(DATA)/dev.tsv --output $(RUN) --overwrite $(FINETUNE_OPTIONS)
	$(BIN)/hub evaluate $(RUN) $(DATA)/test.tsv
	$(BIN)/hub predict $(RUN) "这家酒店的电话是多少" --probabilities
	$(BIN)/hub export $(RUN) --format onnx --output $(RUN)-onnx --overwrite
	$(BIN)/hub predict $(RUN)-onnx "附近有什么好吃的"

# Runs are stopped by real signals in the second part: it has a process to itself.
test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest --ignore=tests/training
	$(BIN)/python -m pytest tests/training

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
