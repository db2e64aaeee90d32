"""A network written as ONNX gives what the checkpoint gives, at any size."""

import importlib.util
import pathlib
from typing import Any

import pytest
import torch

from blursynth.config import toml
from trainers import command_line, export, methods
from trainers.checkpoints import checkpoint

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

CPU = torch.device("cpu")
SMALL: dict[str, dict[str, Any]] = {
    "deblurgan": {"width": 4, "blocks": 2},
    "deep-generative-filter": {"rate": 2, "blocks": 4},
    "light-deblurgan": {"width": 4, "blocks": 2},
    "deepdeblur": {"width": 4, "blocks": 1},
    "resgan": {"width": 4, "blocks": 2},
    "pix2pix": {"width": 4, "levels": 4},
}


def written(name: str, folder: pathlib.Path) -> pathlib.Path:
    """A checkpoint of a small network."""
    kind = methods.find(name)
    table = {"name": name, **SMALL[name]}
    torch.manual_seed(0)
    made = kind(kind.for_restoring(toml.build(table, kind.Config)), CPU)
    lines = "\n".join(f"{key} = {value!r}".replace("'", '"') for key, value in table.items())
    text = f'name = "test"\n[data]\ntrain = [{{path = "x.zarr"}}]\n[method]\n{lines}\n[schedule]\nflat = 1.0\n'
    about = checkpoint.About(text, name, "paper", 7, 14, [], {}, {}, {})
    folder.mkdir(exist_ok=True)
    checkpoint.save(folder / "last.safetensors", about, made)
    return folder


def test_every_method_is_tried_here() -> None:
    assert set(SMALL) == set(methods.CLASSES)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_the_graph_gives_what_the_network_gives(
    name: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = written(name, tmp_path / "run"), tmp_path / "new" / "model.onnx"
    assert command_line.exit_code(export.main, [str(folder), "-o", str(out)]) == 0
    said = capsys.readouterr()
    step = 16 if name == "pix2pix" else methods.find(name).divisor
    assert f"sides multiples of {step}," in said.out
    assert "orch" not in said.out
    session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
    network = export.restorer.load(folder, CPU, dropout=False)
    for height, width in ((64, 48), (16, 160), (7 * step, 11 * step)):
        blurred = torch.rand(1, 3, height, width)
        (found,) = session.run(["restored"], {"blurred": blurred.numpy()})
        torch.testing.assert_close(torch.from_numpy(found), network.restore(blurred), rtol=0, atol=1e-4)
    notes = {entry.key: entry.value for entry in onnx.load(out).metadata_props}
    assert (notes["method"], notes["images_seen"], notes["multiples_of"]) == (name, "14", str(step))
    assert f'name = "{name}"' in notes["recipe"]


def test_a_graph_that_differs_is_not_kept(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = written("resgan", tmp_path / "run"), tmp_path / "model.onnx"
    monkeypatch.setattr(export, "graph_of", lambda *_: b"graph")
    monkeypatch.setattr(export, "difference", lambda *_: float("nan"))
    assert command_line.exit_code(export.main, [str(folder), "-o", str(out)]) == 2
    assert "nothing was written" in capsys.readouterr().err
    assert not out.exists()


def test_what_cannot_be_exported_is_said(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "there.onnx").write_text("old")
    (tmp_path / "empty").mkdir()
    for arguments, words in (
        ((tmp_path / "empty", tmp_path / "new.onnx"), "has no checkpoint"),
        ((tmp_path / "empty", tmp_path / "there.onnx"), "--overwrite"),
        ((tmp_path / "there.onnx", tmp_path / "new.onnx"), "is not a checkpoint"),
    ):
        assert command_line.exit_code(export.main, [str(arguments[0]), "-o", str(arguments[1])]) == 2
        assert words in capsys.readouterr().err
    made = export.restorer.load(written("resgan", tmp_path / "run"), CPU)
    with torch.no_grad():
        next(iter(made.networks["generator"].parameters())).view(-1)[0] = float("nan")
    checkpoint.save(tmp_path / "spoiled.safetensors", checkpoint.about(tmp_path / "run" / checkpoint.LAST), made)
    assert (
        command_line.exit_code(export.main, [str(tmp_path / "spoiled.safetensors"), "-o", str(tmp_path / "n.onnx")])
        == 2
    )
    assert "no finite numbers in generator." in capsys.readouterr().err
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxscript" else find(name))
    assert command_line.exit_code(export.main, [str(tmp_path / "empty"), "-o", str(tmp_path / "new.onnx")]) == 2
    assert "onnxscript" in capsys.readouterr().err
