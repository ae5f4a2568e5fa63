#!/usr/bin/env bash
# scripts/frameworks --engines [--onnx] [--oracle FOLDER] [--page] [--dumps] [--defaults] [--go-on] [CASE]...: checkpoints through llama.cpp, with --onnx through ONNX Runtime,
# compared with goldens; what differs is explained, and the dump compared once more with the golden of the model that the explanation names.
#   (nothing)  runs every case of FOLDER (golden/data/oracle) of a family that the engine knows, and prints a line for each; CASE: FAMILY/NAME,
#              for ONNX Runtime also "FAMILY/NAME OPTION.." (tests/engines/onnx_runs.py)
#   --page     writes the engine's table of docs/engines.md
#   --defaults runs llama.cpp at its defaults instead, long prompts and short ones, and writes the page's table of them
#   --dumps    makes its dumps of tests/data/engines anew
#   --go-on    keeps the rows in build/engines-runs of a run that was ended, those of the same program, scripts and versions
# Python 3.11, PyPI and for llama.cpp a C++ compiler; the environment is made once, in build/engines or build/engines-onnx (or is that of MOEPARITY_ENGINES,
# llama.cpp's converter beside it). Never part of CI.
set -euo pipefail
cd "$(dirname "$0")/../.."

if [ "${1:-}" = --onnx ]; then
    environment=${MOEPARITY_ENGINES:-build/engines-onnx}
    pins=tests/engines/onnx.txt
    if [ -z "${MOEPARITY_ENGINES:-}" ] && ! cmp -s "$pins" "$environment/made-from.txt"; then
        rm -rf "$environment"
        python3.11 -m venv "$environment"
        "$environment/bin/pip" install --quiet --requirement "$pins"
        cp "$pins" "$environment/made-from.txt"
    fi
    exec "$environment/bin/python" tests/engines/onnx_runs.py "${@:2}"
fi

environment=${MOEPARITY_ENGINES:-build/engines}
pins=tests/engines/requirements.txt
if [ -z "${MOEPARITY_ENGINES:-}" ] && ! cmp -s "$pins" "$environment/made-from.txt"; then
    rm -rf "$environment"
    python3.11 -m venv "$environment"
    "$environment/bin/pip" install --quiet --requirement "$pins"
    "$environment/bin/pip" download --quiet --no-deps --no-build-isolation --no-binary :all: --dest "$environment" llama-cpp-python==0.3.36
    tar -xzf "$environment"/llama_cpp_python-*.tar.gz -C "$environment" --strip-components 1 --wildcards '*/vendor/llama.cpp/*.py'
    cp "$pins" "$environment/made-from.txt"
fi
exec "$environment/bin/python" tests/engines "$environment/vendor/llama.cpp" "$@"
