"""Damaged checkpoints, weights and records: each is a BlursynthError with the file's name, before anything is built."""

import json
import math
import os
import pathlib
import pickle
import resource
import struct
from collections.abc import Callable
from typing import Any

import pytest
import safetensors.torch
import torch

from blursynth import errors
from blursynth.config import toml
from trainers import methods, recipe
from trainers.checkpoints import checkpoint, conversion, result_record, safe_file
from trainers.detection import scores as detection
from trainers.evaluation import published as tables
from trainers.evaluation import scores as evaluation
from trainers.inference import restorer
from trainers.methods import method
from trainers.networks import weight_files
from trainers.test_sets import datasets
from trainers.training import log as journal
from trainers.training import run_folder

CPU = torch.device("cpu")
METHOD = {
    "name": "deblurgan", "width": 2, "blocks": 1, "critic": {"width": 2, "steps": 1},
    "perceptual": {"weights": "random"},
}  # fmt: skip
METRICS = {"protocol": "p", "images_scored": 1, "psnr": math.inf, "blurred_psnr": 19.0}
TRAINED_ON = {"path": "a.zarr", "fingerprint": "0", "transfer_function": "srgb", "pairs": 2, "weight": 1.0}


def wanted() -> recipe.Recipe:
    values = {"name": "t", "data": {"train": [{"path": "a.zarr"}]}, "method": METHOD, "schedule": {"constant": 1.0}}
    return recipe._build(values, "test")


@pytest.fixture(scope="module")
def trained() -> Any:
    torch.manual_seed(0)
    made = methods.find("deblurgan")(wanted().method, CPU)
    images = torch.rand(1, 3, 64, 64)
    made.step([method.Batch(images, images) for _ in range(made.batches_per_step)])
    return made


@pytest.fixture
def last(trained: Any, tmp_path: pathlib.Path) -> pathlib.Path:
    """The checkpoint of a run after one step of one image."""
    text = toml.to_toml(wanted())
    about = checkpoint.About(
        text, "deblurgan", "paper", 1, 1, [TRAINED_ON], {"w": "none"}, METRICS, {"best": 20.0, "summed": 1}
    )
    path = tmp_path / "last.safetensors"
    checkpoint.save(path, about, trained, {"pixel": torch.tensor(0.5, dtype=torch.float64)})
    return path


def fresh() -> Any:
    return methods.find("deblurgan")(wanted().method, CPU)


def parts(path: pathlib.Path) -> tuple[dict[str, Any], bytes]:
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def with_header(path: pathlib.Path, text: bytes, rest: bytes) -> None:
    path.write_bytes(struct.pack("<Q", len(text)) + text + rest)


def with_record(path: pathlib.Path, change: Callable[[dict[str, Any]], Any]) -> None:
    header, rest = parts(path)
    values = json.loads(header["__metadata__"]["blursynth"])
    change(values)
    header["__metadata__"]["blursynth"] = json.dumps(values)
    with_header(path, json.dumps(header).encode(), rest)


def with_tensors(path: pathlib.Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    header, _ = parts(path)
    tensors = safetensors.torch.load_file(path)
    change(tensors)
    safetensors.torch.save_file(tensors, path, metadata=header["__metadata__"])


def refused(act: Callable[[], Any], path: pathlib.Path) -> str:
    with pytest.raises(errors.BlursynthError) as raised:
        act()
    assert str(path) in str(raised.value)
    return str(raised.value)


def test_what_is_sound_is_read(last: pathlib.Path) -> None:
    assert checkpoint.resume_from(last, 1).metrics == METRICS
    assert checkpoint.load_training_state(last, fresh()) == {"pixel": torch.tensor(0.5, dtype=torch.float64)}
    assert restorer.load(last, CPU).restore(torch.zeros(1, 3, 8, 8)).shape == (1, 3, 8, 8)


HEADERS: dict[str, Callable[[bytes, bytes], bytes]] = {
    "empty": lambda *_: b"",
    "a length alone": lambda *_: struct.pack("<Q", 100),
    "a length of 2^60": lambda text, rest: struct.pack("<Q", 2**60) + text + rest,
    "a length of 0": lambda text, rest: struct.pack("<Q", 0) + text + rest,
    "one byte too long": lambda text, rest: struct.pack("<Q", len(text) + 1) + text + rest,
    "one byte too short": lambda text, rest: struct.pack("<Q", len(text) - 1) + text + rest,
    "a list": lambda _, rest: struct.pack("<Q", 2) + b"[]" + rest,
    "a key twice": lambda text, rest: framed(text[:-1] + b', "__metadata__": {}}', rest),
    "deep": lambda _, rest: framed(b'{"a": ' + b"[" * 100_000, rest),
    "5,000 digits": lambda text, rest: framed(text[:-1] + b', "a": ' + b"9" * 5000 + b"}", rest),
    "not UTF-8": lambda text, rest: framed(text.replace(b"generator", b"gen\xffrator", 1), rest),
    "metadata of numbers": lambda _, rest: framed(b'{"__metadata__": {"blursynth": 3}}', rest),
    "metadata as a list": lambda _, rest: framed(b'{"__metadata__": []}', rest),
    "an unknown dtype": lambda text, rest: framed(text.replace(b"F32", b"F33", 1), rest),
    "offsets beyond the file": lambda text, rest: framed(text, rest[:-4]),
    "a negative shape": lambda text, rest: framed(text.replace(b'"shape": [', b'"shape": [-1, ', 1), rest),
}


def framed(text: bytes, rest: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text + rest


@pytest.mark.parametrize("name", HEADERS)
def test_headers(name: str, last: pathlib.Path) -> None:
    header, rest = parts(last)
    last.write_bytes(HEADERS[name](json.dumps(header).encode(), rest))
    refused(lambda: restorer.load(last, CPU), last)
    refused(lambda: checkpoint.load_training_state(last, fresh()), last)


RECORD_KEYS = (
    "format_version", "recipe", "method", "variant", "step", "images_seen", "datasets", "provenance", "metrics",
    "progress", "versions", "created",
)  # fmt: skip


@pytest.mark.parametrize("key", RECORD_KEYS)
def test_values_of_a_record(key: str, last: pathlib.Path) -> None:
    sound = last.read_bytes()
    for value in (None, -1, 1.5, True, [None], [{}], {"psnr": "x", "best": "x", "a": 1}):
        with_record(last, lambda values, value=value: values.update({key: value}))
        refused(lambda: checkpoint.about(last), last)
        last.write_bytes(sound)
    with_record(last, lambda values: values.pop(key))
    refused(lambda: checkpoint.about(last), last)


@pytest.mark.parametrize(
    "change",
    [
        {"progress": {}}, {"progress": {"best": math.nan, "summed": 1}}, {"progress": {"best": None, "summed": -1}},
        {"images_seen": 7}, {"metrics": {"psnr": 1.0}}, {"datasets": [{"path": "a"}]},
    ],
)  # fmt: skip
def test_records_that_no_run_can_go_on_from(change: dict[str, Any], last: pathlib.Path) -> None:
    with_record(last, lambda values: values.update(change))
    refused(lambda: checkpoint.resume_from(last, 1), last)


@pytest.mark.parametrize(
    "change",
    [
        ("width = 2", "width = 100000000"), ("width = 2", "width = 16384"), ("blocks = 1", "blocks = 1000000000"),
        ("blocks = 1", "blocks = 16384"), ("blocks = 1", "blocks = 2"), ("width = 2", "width = " + "9" * 5000),
        ("width = 2", "width = 4"), ("deblurgan", "deepdeblur"), ('name = "t"', "name = " + "[" * 5000),
    ],
    ids=lambda change: change[1][:24],
)  # fmt: skip
def test_a_recipe_that_asks_for_another_network(change: tuple[str, str], last: pathlib.Path) -> None:
    """Whatever it asks for, nothing of its size is allocated: the tensors in the file are compared first."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with_record(last, lambda values: values.update(recipe=values["recipe"].replace(*change)))
    refused(lambda: restorer.load(last, CPU), last)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


@pytest.mark.parametrize("change", [{"method": "deepdeblur"}, {"variant": "release"}, {"variant": ""}])
def test_a_record_that_contradicts_its_recipe(change: dict[str, Any], last: pathlib.Path) -> None:
    with_record(last, lambda values: values.update(change))
    refused(lambda: restorer.load(last, CPU), last)


def test_a_dataset_of_a_record_whose_path_no_system_takes(last: pathlib.Path) -> None:
    with_record(last, lambda values: values["datasets"][0].update(path="a\0b"))
    refused(lambda: checkpoint.about(last), last)
    assert datasets.trained_sources(["a\0b"], "0") is None


def test_pipes_in_the_place_of_files(tmp_path: pathlib.Path) -> None:
    """Each would be waited for without end."""
    readers: dict[str, Callable[[], Any]] = {
        journal.LOG: lambda: journal.Log(tmp_path, 1),
        run_folder._LOCK: run_folder.Lock(tmp_path).__enter__,
        result_record.RECORD: lambda: result_record.Record(tmp_path),
        "last.safetensors": lambda: checkpoint.about(tmp_path / "last.safetensors"),
        "weights.pth": lambda: weight_files.read(tmp_path / "weights.pth"),
    }
    for name, read in readers.items():
        os.mkfifo(tmp_path / name)
        refused(read, tmp_path / name)


NAME = "generator.head.0.weight"
TENSORS: dict[str, Callable[[dict[str, torch.Tensor]], Any]] = {
    "int64": lambda t: t.update({NAME: t[NAME].long()}),
    "bool": lambda t: t.update({NAME: t[NAME] > 0}),
    "complex": lambda t: t.update({NAME: t[NAME].to(torch.complex64)}),
    "float16": lambda t: t.update({NAME: t[NAME].half()}),
    "float8": lambda t: t.update({NAME: t[NAME].to(torch.float8_e4m3fn)}),
    "NaN": lambda t: t[NAME].view(-1)[0].fill_(math.nan),
    "infinite": lambda t: t[NAME].view(-1)[0].fill_(math.inf),
    "another shape": lambda t: t.update({NAME: t[NAME][:1].contiguous()}),
    "missing": lambda t: t.pop(NAME),
    "one more": lambda t: t.update({f"{NAME}s": torch.ones(1)}),
}


@pytest.mark.parametrize("name", TENSORS)
def test_weights(name: str, last: pathlib.Path) -> None:
    with_tensors(last, TENSORS[name])
    assert "head.0.weight" in refused(lambda: restorer.load(last, CPU), last)
    assert "head.0.weight" in refused(lambda: checkpoint.load_training_state(last, fresh()), last)


MOMENT, STEP = "optimiser/generator/0/exp_avg_sq", "optimiser/generator/0/step"
STATES: dict[str, Callable[[dict[str, torch.Tensor]], Any]] = {
    "NaN": lambda t: t[MOMENT].view(-1)[0].fill_(math.nan),
    "negative square": lambda t: t[MOMENT].view(-1)[0].fill_(-1),
    "negative step": lambda t: t.update({STEP: torch.tensor(-1.0)}),
    "step of another kind": lambda t: t.update({STEP: torch.tensor(1)}),
    "float8": lambda t: t.update({MOMENT: t[MOMENT].to(torch.float8_e4m3fn)}),
    "another shape": lambda t: t.update({MOMENT: torch.ones(3)}),
    "missing entry": lambda t: t.pop(MOMENT),
    "none at all": lambda t: [t.pop(key) for key in list(t) if key.startswith("optimiser/critic/")],
    "beyond the parameters": lambda t: t.update({"optimiser/generator/999/step": torch.tensor(1.0)}),
    "no number": lambda t: t.update({"optimiser/generator/x/step": torch.tensor(1.0)}),
    "no such optimiser": lambda t: t.update({"optimiser/other/0/step": torch.tensor(1.0)}),
    "a short name": lambda t: t.update({"optimiser/generator": torch.tensor(1.0)}),
    "a stranger": lambda t: t.update({"other": torch.tensor(1.0)}),
    "a sum of another kind": lambda t: t.update({"loop/pixel": torch.tensor(1)}),
    "a sum that is no number": lambda t: t.update({"loop/pixel": torch.tensor(math.nan, dtype=torch.float64)}),
}


@pytest.mark.parametrize("name", STATES)
def test_states_of_optimisers(name: str, last: pathlib.Path) -> None:
    with_tensors(last, STATES[name])
    into = fresh()
    refused(lambda: checkpoint.load_training_state(last, into), last)
    assert not any(optimiser.state for optimiser in into.optimisers.values())


def test_a_mean_that_is_not_there_or_another(last: pathlib.Path, trained: Any) -> None:
    like = trained.networks["generator"].state_dict()
    refused(lambda: checkpoint.load_ema(last, like), last)
    with_tensors(last, lambda t: t.update({f"{checkpoint.EMA}.{key}": value.long() for key, value in like.items()}))
    refused(lambda: checkpoint.load_ema(last, like), last)


def test_another_programs_safetensors_is_sent_to_convert(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "other.safetensors"
    safetensors.torch.save_file({"w": torch.zeros(2)}, path)
    assert "trainers.convert" in refused(lambda: checkpoint.about(path), path)
    assert safe_file.header(path) == {}


# Published weights.


def published() -> dict[str, Any]:
    """DeblurGAN's layout with one block of one channel."""
    shapes = {"model.1": (1, 3, 7, 7), "model.4": (2, 1, 3, 3), "model.7": (4, 2, 3, 3), "model.11": (4, 2, 3, 3)}
    shapes |= {"model.10.conv_block.1": (4, 4, 3, 3), "model.10.conv_block.6": (4, 4, 3, 3)}
    shapes |= {"model.14": (2, 1, 3, 3), "model.18": (3, 1, 7, 7)}
    outputs = {"model.11": 2, "model.14": 1}
    state = {f"{name}.weight": torch.ones(shape) for name, shape in shapes.items()}
    return state | {f"{name}.bias": torch.ones(outputs.get(name, shape[0])) for name, shape in shapes.items()}


FIRST = "model.1.weight"
WEIGHTS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "int64": lambda s: s.update({FIRST: s[FIRST].long()}),
    "bool": lambda s: s.update({FIRST: s[FIRST] > 0}),
    "complex": lambda s: s.update({FIRST: s[FIRST].to(torch.complex64)}),
    "NaN": lambda s: s[FIRST].view(-1)[0].fill_(math.nan),
    "beyond float32": lambda s: s.update({FIRST: s[FIRST].double() * 1e300}),
    "a view of 10^8": lambda s: s.update({FIRST: torch.ones(1).expand(10**8, 3, 7, 7)}),
    "sparse": lambda s: s.update({FIRST: s[FIRST].to_sparse()}),
    "meta": lambda s: s.update({FIRST: s[FIRST].to("meta")}),
    "quantised": lambda s: s.update({FIRST: torch.quantize_per_tensor(s[FIRST], 1.0, 0, torch.qint8)}),
    "no dimension": lambda s: s.update({FIRST: torch.tensor(1.0)}),
    "missing": lambda s: s.pop("model.4.bias"),
    "a number for a tensor": lambda s: s.update({FIRST: 3}),
    "a layer of 11 digits": lambda s: (s.clear(), s.update(deepdeblur("99999999999"))),
    "a layer of 5,000 digits": lambda s: (s.clear(), s.update(deepdeblur("9" * 5000))),
    "a layer of 100,000": lambda s: (s.clear(), s.update(deepdeblur("100000"))),
    "nothing": lambda s: s.clear(),
}


def deepdeblur(scale: str) -> dict[str, torch.Tensor]:
    return {"body_models.0.body.0.weight": torch.ones(1, 1), f"body_models.{scale}.body.1.weight": torch.ones(1)}


@pytest.mark.filterwarnings("ignore")  # torch warns of kinds of tensors that it will give up
@pytest.mark.parametrize("name", WEIGHTS)
def test_published_weights(name: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "w.pth"
    state = published()
    torch.save(state, path)
    assert conversion.convert(path).recipe.method_name == "deblurgan"
    WEIGHTS[name](state)
    torch.save(state, path)
    refused(lambda: conversion.convert(path), path)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"x", b"PK\x03\x04", b"\x80\x02", pickle.dumps([1, 2]), pickle.dumps({"a": 1}), pickle.dumps(object),
        b"\x80\x02" + b"(" * 10_000, b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f", b"ustar" * 200,
    ],
)  # fmt: skip
def test_files_that_are_no_weights(content: bytes, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(content)
    refused(lambda: conversion.convert(path), path)


def test_weights_cut_anywhere(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "w.pth"
    for zipped in (True, False):
        torch.save(published(), path, _use_new_zipfile_serialization=zipped)
        whole = path.read_bytes()
        for kept in range(0, len(whole) - 1, len(whole) // 20):
            path.write_bytes(whole[:kept])
            refused(lambda: conversion.convert(path), path)


# What runs and evaluations write beside checkpoints.

LINES = (b"[]", b"3", b"{}", b'{"images": "x"}', b'{"images": -1}', b'{"images": 1.5}', b"{", b'{"images": "\xff"}')


@pytest.mark.parametrize("line", [*LINES, b"[" * 100_000, b'{"images": ' + b"9" * 5000 + b"}"])
def test_a_log(line: bytes, tmp_path: pathlib.Path) -> None:
    """A line that is none is one that was cut short at the end, and else damage."""
    log = tmp_path / journal.LOG
    sound = b'{"kind": "train", "images": 1, "loss": Infinity}\n'
    log.write_bytes(sound + line + b"\n" + sound)
    refused(lambda: journal._cut_back(log, 5), log)
    log.write_bytes(sound + line)
    journal._cut_back(log, 5)
    assert log.read_bytes() == sound


@pytest.mark.parametrize("line", [b"[]", b"{}", b'{"row": 1}', b"{", b"\xff", b"[" * 100_000])
def test_an_evaluations_lines(line: bytes, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be read is named and dropped: its image is scored again."""
    entries = object.__new__(evaluation.Journal)
    entries._path, entries._keys, entries.entries = tmp_path / evaluation.PER_IMAGE, {}, {}
    entries._path.write_bytes(line + b"\n")
    entries._load()
    entries.close()
    assert str(entries._path) in caplog.text
    assert entries.entries == {}
    assert entries._path.read_bytes() == b""


@pytest.mark.parametrize(
    "content",
    [
        b"[]", b"{", b"\xff", b"null", b"[" * 100_000, b'{"detector": "d", "sha256": "s"}',
        b'{"detector": "d", "sha256": "s", "images": {"k": {"boxes": [[1]], "scores": [1], "classes": ["a"]}}}',
        b'{"detector": "d", "sha256": "s", "images": {"k": {"boxes": [], "scores": [1], "classes": ["a"]}}}',
        b'{"detector": "", "sha256": "s", "images": {"k": {"boxes": [[0, 0, 1, NaN]], "scores": [1], "classes": []}}}',
    ],
)  # fmt: skip
def test_labels(content: bytes, tmp_path: pathlib.Path) -> None:
    class Detector:
        name, kind, sha256 = "d", "qrcode", "s"

    path = tmp_path / "labels.json"
    path.write_bytes(content)
    refused(lambda: detection.Labels(Detector()).read(path), path)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "content",
    [
        b"[]", b"{}", b"{", b"\xff", b"[" * 100_000, b'{"protocol": {"name": "p", "version": 1}, "rows": 3}',
        b'{"protocol": {"name": "p", "version": 1}, "test_set": {"name": "t", "images": 1, "about": "a"}, '
        b'"metrics": {"psnr": {"places": 2}}, '
        b'"rows": [{"method": "m", "name": "n", "scores": {"psnr": {"mean": []}}}]}',
    ],
)  # fmt: skip
def test_measured_tables(content: bytes, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "table.json"
    path.write_bytes(content)
    refused(lambda: tables.measured([path]), path)
