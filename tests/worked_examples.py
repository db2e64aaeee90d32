"""The worked examples of CONTRIBUTING.md: their blocks as modules of the packages that they are for."""

import importlib
import pathlib
import re
import sys

import pytest

CONTRIBUTING = pathlib.Path(__file__).resolve().parents[1] / "CONTRIBUTING.md"


def install(heading: str, folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make the files of the example under this heading importable; return its last block, a line of a registry."""
    text = CONTRIBUTING.read_text(encoding="utf-8").partition(f"### {heading}\n")[2].partition("\n##")[0]
    files = re.findall(r"`(\S+\.py)`:\n\n```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    *modules, (_, line) = files
    assert modules, f"no blocks under {heading}"
    for name, block in modules:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block, encoding="utf-8")
        package = importlib.import_module(path.parent.relative_to(folder).as_posix().replace("/", "."))
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(path.parent)])
        monkeypatch.delitem(sys.modules, f"{package.__name__}.{path.stem}", raising=False)
        monkeypatch.delattr(package, path.stem, raising=False)
    return str(line)
