#!/usr/bin/env bash
# SGLang reads a file of arguments named by `--config FILE`.  Written `--config=FILE` the same argument is accepted, and the file is not opened: the
# merger looks for the word "--config" alone, and the parser that runs afterwards knows the option.  (vLLM 0.33.0 has the same test on the same word.)
# What it means: a server starts with the default degrees, one rank, without a word; the plan that the file states never ran.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder"
"$folder/bin/pip" install --quiet torch==2.13.0 numpy triton==3.9.0 PyYAML==6.0.4 psutil==7.2.2 packaging==26.4 tqdm==4.70.1 orjson==3.13.0 pybase64==1.5.1 \
    requests==2.34.2 pillow==13.0.0 starlette==1.10.0 msgspec==0.23.0 pyzmq==27.3.0 ipython==9.18.1 aiohttp==3.14.5 pydantic==2.14.4
"$folder/bin/pip" download --quiet --no-deps --only-binary :all: --python-version 3.12 --dest "$folder" sglang==0.5.23
(cd "$folder" && python3.11 -m zipfile -e sglang-*.whl package && printf 'tp-size: 4\n' >serve.yaml)
cd "$folder"
PYTHONPATH=package bin/python - <<'PY' || { echo "the behaviour has changed" >&2; exit 1; }
from sglang.srt.server_args import prepare_server_args

degrees = {}
for words in (["--config", "serve.yaml"], ["--config=serve.yaml"], ["--config=no/such/file.yaml"]):
    degrees[" ".join(words)] = prepare_server_args(["--model-path", "m", *words]).tp_size
print("  sglang 0.5.23; serve.yaml says tp-size: 4")
for words, tp in degrees.items():
    print(f"  {words:28} tp_size = {tp}")
print("  with = the file is not read, not even looked for")
raise SystemExit(list(degrees.values()) != [4, 1, 1])
PY
