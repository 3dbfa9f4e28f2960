# A fresh machine: `make demo` and `make test`. Both make .venv first when it is not there.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed

.PHONY: setup demo test lint clean

setup: $(STAMP)

$(STAMP): setup.py constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install -q --upgrade pip 'setuptools<80' wheel
	$(PY) -m pip install -q --no-build-isolation -c constraints.txt -e '.[ros,train,dev,openvino,onnx,ray,view,detect]'
	$(PY) -m amg_fuse_ros.network.inference.compile
	touch $@

demo: setup
	$(PY) -m tools.demo $(DEMO)

test: setup
	$(PY) -m pytest $(TESTS)

lint: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy amg_fuse_ros training tools

clean:
	rm -rf $(VENV) build install log demo
