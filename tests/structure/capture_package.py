"""capture_package.py ROOT: the package of golden/capture holds every module of its folder, and says what each of them imports."""
import ast
import sys
import tomllib
from pathlib import Path

DISTRIBUTIONS = {"llama_cpp": "llama-cpp-python"}  # those whose name is not the module's


def imported(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name.split(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module.split(".")[0]


def wrong(folder):
    about = tomllib.loads((folder / "pyproject.toml").read_text())
    files = {file.stem: file for file in sorted(folder.glob("*.py"))}
    listed = about["tool"]["setuptools"]["py-modules"]
    if listed != list(files):
        yield f"py-modules: expected {list(files)}, found {listed}"
    project = about["project"]
    stated = set(project["dependencies"]).union(*project["optional-dependencies"].values())
    for name, file in files.items():
        foreign = set(imported(file)) - sys.stdlib_module_names - set(files)
        missing = {DISTRIBUTIONS.get(module, module) for module in foreign} - stated
        if missing:
            yield f"dependencies: expected {', '.join(sorted(missing))}, which {name} imports, found {sorted(stated)}"


found = [f"{sys.argv[1]}/golden/capture/pyproject.toml: {line}" for line in wrong(Path(sys.argv[1]) / "golden/capture")]
print("\n".join(found))
sys.exit(1 if found else 0)
