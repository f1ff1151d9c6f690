# `make demo` and `make test` set up everything they need in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := outputs/demo
WORKERS ?= 2

.PHONY: help install demo test lint clean

help:
	@echo "make demo     train each model on the embedded sample, render new speech, compare ($(DEMO))"
	@echo "make test     run the test suite"
	@echo "make install  only make the environment in $(VENV)"
	@echo "make lint     check style"

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "error: Python 3.10 or newer is needed; give it as make PYTHON=python3.11 ..." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing packages into $(VENV) (some minutes the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	@# OpenCV's usual wheel needs libraries of X11 and OpenGL, which slim machines lack; there its twin without windows replaces it.
	@$(BIN)/python -c 'import cv2' 2>/dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --force-reinstall --no-deps opencv-contrib-python-headless
	@touch $@

demo: install
	@$(BIN)/python -m talksplat.demo out="$(DEMO)"

test: install
	@# Workers of one thread each: small tests gain nothing by more, and threads of several workers would fight for cores.
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile

lint: install
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

clean:
	rm -rf $(VENV) outputs
