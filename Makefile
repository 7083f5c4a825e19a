# The targets are explained by `make help`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.mmreact-setup
STACK := train
REQUIREMENTS := requirements/$(STACK).txt requirements/tests.txt
SOURCES := $(wildcard mmreact configs tools tests benchmarks setup.py)
CSRC_FILES := $(shell find mmreact/csrc examples -name '*.cpp' -o -name '*.h' \
	-o -name '*.inc' -o -name '*.c')
CPP_FILES := $(CSRC_FILES) $(wildcard benchmarks/*.cpp)
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := $(PIP) install $(REQUIREMENTS:%=-r %)
PHOTOGRAPHS := requirements/photographs.txt
CHECK := $(BIN)/python tools/misc/ensure_cv2.py && $(BIN)/python -W ignore \
	-c 'import cv2, torch, torchvision, mmengine, mmcv, mmpretrain, mmreact'

.PHONY: help setup demo test test-avx2 test-onedl lint format clean

help:
	@echo 'make setup   install everything into $(VENV) (reused when current)'
	@echo 'make demo    run tools/demo.py; DEMO_ARGS="..." are passed on'
	@echo 'make test    run the tests; TEST_ARGS="..." are passed to pytest'
	@echo 'make test-avx2  the tests of what is computed, on AVX2 alone as far'
	@echo '             as kernels and libraries can be held to it'
	@echo 'make test-onedl  the same on maintained forks of the OpenMMLab'
	@echo '             packages, in .venv-onedl (docs/compatibility.md)'
	@echo 'make lint    check the style and change nothing'
	@echo 'make format  put the style right'
	@echo 'make clean   delete what building and testing left; $(VENV) stays'
	@echo 'PYTHON=python3.12 and VENV=folder choose the Python and the place.'

setup: $(STAMP)
	@:

# The stamp comes last: a set-up that was interrupted is done again, and pip
# installs only what is missing. Should that not be enough, all is reinstalled.
$(STAMP): $(REQUIREMENTS) requirements/common.txt $(PHOTOGRAPHS) setup.cfg \
		setup.py pyproject.toml tools/misc/ensure_cv2.py $(CSRC_FILES)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo 'Error: mmreact needs Python 3.10 or newer; $(PYTHON) is' \
		"$$($(PYTHON) -V 2>&1). Choose another: make setup" \
		'PYTHON=python3.12' >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
		{ echo 'Error: $(PYTHON) cannot make virtual environments. On Debian' \
		'or Ubuntu install the package python3-venv, then run this again.' \
		>&2; exit 1; }
	@command -v "$${CXX:-c++}" >/dev/null || \
		echo 'Warning: no C++ compiler found. On Debian or Ubuntu the package' \
		'g++ brings one; without it the compiled kernels are not available.' \
		>&2
	@$(PIP) --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	@echo 'Setting up $(VENV): torch and OpenMMLab take 6 GB, some minutes.'
	$(INSTALL)
	$(PIP) install --no-deps -r $(PHOTOGRAPHS)
	$(PIP) install --no-deps --no-build-isolation -e .
	@{ $(CHECK); } || { echo 'Repairing $(VENV): installing all again.' && \
		$(INSTALL) --force-reinstall && $(CHECK); }
	@touch $@
	@echo 'Setup is done: $(VENV)'

demo: setup
	@$(BIN)/python tools/demo.py $(DEMO_ARGS)

# -E: whatever PYTHON* variables say.
test: setup
	$(BIN)/python -E -m pytest $(TEST_ARGS)

# By oneDNN (in torch and OpenVINO), torch, MKL, NumPy, its OpenBLAS, and our
# kernels. ONNX Runtime cannot be told: an emulated processor runs it in
# tests/test_benchmarks/test_saturation.py.
test-avx2: export ONEDNN_MAX_CPU_ISA := AVX2
test-avx2: export ATEN_CPU_CAPABILITY := avx2
test-avx2: export MKL_ENABLE_INSTRUCTIONS := AVX2
test-avx2: export NPY_DISABLE_CPU_FEATURES := X86_V4 AVX512_ICL AVX512_SPR
test-avx2: export OPENBLAS_CORETYPE := Haswell
test-avx2: export MMREACT_KERNEL := avx2
test-avx2: setup
	$(BIN)/python -E -m pytest $(TEST_ARGS) tests/test_functional \
		tests/test_layers tests/test_export tests/test_packed \
		tests/test_benchmarks

# An environment of its own: the forks lie where the originals would.
test-onedl:
	@$(MAKE) test STACK=onedl VENV=.venv-onedl

lint: setup
	$(BIN)/flake8 $(SOURCES)
	$(BIN)/isort --check-only --diff $(SOURCES)
	$(BIN)/yapf --diff -r $(SOURCES)
	$(BIN)/clang-format --dry-run --Werror $(CPP_FILES)

format: setup
	$(BIN)/isort $(SOURCES)
	$(BIN)/yapf -i -r $(SOURCES)
	$(BIN)/clang-format -i $(CPP_FILES)

clean:
	rm -rf build dist .pytest_cache .hypothesis
	find $(SOURCES) -name __pycache__ -prune -exec rm -rf {} +
