#!/bin/sh
# What the study does on a CUDA card, in one table and about five minutes: see benchmarks/gpu.py.
#   benchmarks/gpu.sh [--dry-run] [--only equality,replay]
# PYTHON names the interpreter; without it, that of `make install`.
set -eu
cd "$(dirname "$0")/.."
PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" exec "${PYTHON:-.venv/bin/python}" -m benchmarks.gpu "$@"
