# `make` lists the targets. Nothing needs to be activated: everything runs in .venv.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.stamp
ARGS ?=
# In tests alone, annotations hold at run time; an int will do for a float, as mypy has it.
CHECKER := beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))

# A sourced ROS 2 has its own rclpy for its own Python; .venv has that of the wheels.
unexport PYTHONPATH
unexport PYTHONHOME
unexport AMENT_PREFIX_PATH
# The ROS wheels set it in every process that they started; a new environment must look again.
unexport _ROS_WHEELS_BOOTSTRAP_COMPLETE

.DEFAULT_GOAL := help
.PHONY: help env demo test lint format clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

env: $(STAMP) ## install everything into .venv (again only when the lock or setup.py changed)

$(STAMP): requirements.lock setup.py
	@$(PYTHON) .ci/system_check.py
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --disable-pip-version-check -r requirements.lock
	$(PY) -m pip install --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: env ## solve the fruit swap in simulation with the shipped checkpoint (options: ARGS="...")
	$(PY) -m df_policy demo $(ARGS)

test: env ## run all tests, with shapes and types checked at run time (options: ARGS="...")
	$(PY) -m pytest "--jaxtyping-packages=df_policy,$(CHECKER)" --timeout=300 $(ARGS)

lint: env ## ruff and mypy, changing nothing
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy --strict

format: env ## let ruff sort imports and lay out the code
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

clean: ## remove .venv, builds and caches
	rm -rf $(VENV) build install log dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
