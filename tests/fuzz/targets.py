"""What is fuzzed: for each reader, small sound files, how they are changed, and how the product reads them.

An input is one `bytes`. Where a reader needs a name or several files, its first line is the name of the file that the
rest of it stands for.
"""

import dataclasses
import functools
import hashlib
import io
import json
import pathlib
import struct
import tarfile
import tomllib
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import clip_files
import fake_maker
import mask_files
import mutations
import numpy as np
import onnx_files
import scipy.io
import tomli_w
from PIL import Image, ImageCms

from blursynth.layouts import layout, webdataset
from blursynth.makers import dataset_recipe, kernel_files
from blursynth.media import photos
from blursynth.production import run
from blursynth.sources import clip_files as clips
from blursynth.sources import image_files, masks, png, source
from blursynth.storage import integrity, metadata_digests, reader
from blursynth.storage import schema as schemas
from blursynth.synthesis import gyroscope

Mutate = Callable[[bytes, mutations.Random, Sequence[bytes]], bytes]


@dataclasses.dataclass(frozen=True)
class Target:
    """seeds: sound inputs. read: an input as the product reads it, in a folder that is empty. mutate: of what follows
    the first line, where `named`. share: of the usual number of inputs, for a slow reader."""

    seeds: Callable[[pathlib.Path], list[bytes]]
    read: Callable[[bytes, pathlib.Path], None]
    mutate: Mutate = mutations.mutate
    named: bool = False
    share: float = 1.0


def inputs(target: Target, seeds: Sequence[bytes], seed: int, k: int) -> bytes:
    """Input number k: a function of (seed, k) and the seeds."""
    random = mutations.random_for(seed, k)
    chosen = seeds[int(random.integers(len(seeds)))]
    name, newline, content = chosen.partition(b"\n") if target.named else (b"", b"", chosen)
    others = [each.partition(b"\n")[2] if target.named else each for each in seeds]
    return name + newline + target.mutate(content, random, others)


def _split(data: bytes) -> tuple[str, bytes]:
    name, _, content = data.partition(b"\n")
    return name.decode(), content


def _pixels(height: int = 16, width: int = 16) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


# Photos and PNG files.


def _photo_seeds(_: pathlib.Path) -> list[bytes]:
    colour = Image.fromarray(_pixels())
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[274] = 6
    deep = Image.fromarray(_pixels().astype(np.uint16)[:, :, 0] * 257)
    kinds: list[tuple[Image.Image, str, dict[str, Any]]] = [
        (colour, "png", {}), (colour.convert("P"), "png", {}), (colour.convert("RGBA"), "png", {"exif": exif}),
        (colour, "png", {"icc_profile": profile}), (deep, "png", {}), (colour, "jpeg", {"exif": exif}),
        (colour.convert("CMYK"), "jpeg", {}), (colour, "jpeg", {"progressive": True, "icc_profile": profile}),
        (colour, "gif", {}), (colour, "tiff", {"exif": exif}), (colour, "tiff", {"compression": "tiff_lzw"}),
        (colour, "tiff", {"compression": "jpeg"}), (deep, "tiff", {}), (colour, "webp", {"exif": exif}),
        (colour, "webp", {"lossless": True}), (colour, "bmp", {}), (colour, "ppm", {}), (colour, "jpeg2000", {}),
    ]  # fmt: skip
    written = []
    for image, kind, options in kinds:
        file = io.BytesIO()
        image.save(file, format=kind, **options)
        written.append(file.getvalue())
    return written


def _read_photo(data: bytes, folder: pathlib.Path) -> None:
    path = folder / "photo"
    path.write_bytes(data)
    photos.probe(path)
    photos.read(path)


def _png_seeds(folder: pathlib.Path) -> list[bytes]:
    return [png.encode(_pixels()), *(each for each in _photo_seeds(folder) if each.startswith(png.SIGNATURE))]


def _mutate_png(content: bytes, random: mutations.Random, others: Sequence[bytes]) -> bytes:
    """Half of them with right checksums again, so that what is in the chunks is reached."""
    changed = mutations.mutate(content, random, others)
    return _with_checksums(changed) if random.integers(2) else changed


def _with_checksums(content: bytes) -> bytes:
    fixed, place = bytearray(content), 8
    while place + 12 <= len(fixed):
        (length,) = struct.unpack(">I", fixed[place : place + 4])
        end = place + 8 + length
        if end + 4 > len(fixed):
            break
        fixed[end : end + 4] = struct.pack(">I", zlib.crc32(fixed[place + 4 : end]))
        place = end + 4
    return bytes(fixed)


def _read_png(data: bytes, folder: pathlib.Path) -> None:
    png.decode(data, 16, 16)
    if len(data) > 24:
        width, height = struct.unpack(">II", data[16:24])
        if 0 < width * height < 1_000_000:
            png.decode(data, height, width)
    path = folder / "photo.png"
    path.write_bytes(data)
    photos.read(path)


# Videos.


def _video_seeds(folder: pathlib.Path) -> list[bytes]:
    frames = clip_files.moving(5, 32, 32)
    kinds: list[tuple[str, str, dict[str, Any]]] = [
        ("a.mp4", "libx264", {"rotation": 90}), ("b.mkv", "libx264", {}), ("c.avi", "mjpeg", {"pixels": "yuvj420p"}),
        ("d.mov", "mpeg4", {"options": {}}), ("e.ts", "mpeg2video", {"options": {}, "rate": 25}),
    ]  # fmt: skip
    written = []
    for name, codec, options in kinds:
        path = clip_files.write(folder / name, frames, **{"rate": 240, **options, "codec": codec})
        written.append(f"{name}\n".encode() + path.read_bytes())
    return written


def _read_video(data: bytes, folder: pathlib.Path) -> None:
    name, content = _split(data)
    path = folder / f"clip{pathlib.PurePath(name).suffix}"
    path.write_bytes(content)
    clip = clips.one("clip", path)
    frames = clip.open()
    for picture in frames.frames(0, min(clip.frames, 50)):
        assert picture is not None
    frames.close()


# Recipes.

_TRAINING = """
name = "t"
seed = 1
[data]
train = [{path = "a.zarr", weight = 1.0}]
batch = 2
crop = 64
saturation = [0.5, 1.5]
[method]
name = "deblurgan"
width = 8
critic = {width = 8, steps = 1}
perceptual = {weights = "random"}
[schedule]
clock = "images"
constant = 8
milestones = [2.0, 3.5]
[validation]
images = 2
"""


def _recipe_seeds(_: pathlib.Path) -> list[bytes]:
    shipped = pathlib.Path(__file__).parents[2] / "recipes" / "synthesis"
    making = [(shipped / f"{name}.toml").read_bytes() for name in ("lai", "handheld-realistic", "moving-objects")]
    return [b"training\n" + _TRAINING.encode(), *(b"making\n" + text for text in making)]


def _mutate_toml(content: bytes, random: mutations.Random, others: Sequence[bytes]) -> bytes:
    if random.integers(2):
        try:
            return tomli_w.dumps(mutations.mutate_tree(tomllib.loads(content.decode()), random)).encode()
        except (TypeError, ValueError):  # None has no form in TOML
            pass
    return mutations.mutate_text(content, random, others)


def _read_recipe(data: bytes, folder: pathlib.Path) -> None:
    from trainers import recipe

    name, content = _split(data)
    path = folder / "recipe.toml"
    path.write_bytes(content)
    if name == "training":
        recipe.load(path)
    else:
        dataset_recipe.load(str(path), sources=[])


# Datasets.

_SHOWN = ("picture/c/0/0/0/0", "frame/c/1/0/0", "weight/c/0", "source/c/0", "valid/c/2", "digest/c/0/0/0")


@functools.cache
def _dataset(folder: pathlib.Path) -> Mapping[str, bytes]:
    """The files of a small finished dataset."""
    run.produce(fake_maker.Fake(), folder / "fake.zarr")
    files_ = (path for path in (folder / "fake.zarr").rglob("*") if path.is_file())
    return {path.relative_to(folder / "fake.zarr").as_posix(): path.read_bytes() for path in files_}


def _dataset_seeds(folder: pathlib.Path) -> list[bytes]:
    sound = _dataset(folder)
    metadata = ["zarr.json", "picture/zarr.json", "weight/zarr.json", "source/zarr.json", "digest/zarr.json"]
    names = [name for name in (*metadata, *_SHOWN) if name in sound]
    return [f"{state} {name}\n".encode() + sound[name] for name in names for state in ("sealed", "resealed", "begun")]


def _mutate_dataset(content: bytes, random: mutations.Random, others: Sequence[bytes]) -> bytes:
    return (mutations.mutate_json if content.startswith(b"{") else mutations.mutate)(content, random, others)


def _read_dataset(data: bytes, folder: pathlib.Path) -> None:  # noqa: ARG001
    """ "resealed": whoever made the change sealed it; "begun": as long as a dataset is made, nothing is sealed."""
    name, content = _split(data)
    state, _, name = name.partition(" ")
    path = _root() / "fake.zarr"
    try:
        (path / name).write_bytes(content)
        if state != "sealed":
            _reseal(path, name, begun=state == "begun")
        refused = [_attempt(lambda: _use_dataset(path)), _attempt(lambda: _verify(path))]
    finally:
        for key in (name, schemas.GROUP):
            (path / key).write_bytes(_dataset(_root())[key])
    for error in filter(None, refused):
        raise error


def _verify(path: pathlib.Path) -> None:
    stored, _ = integrity.inspect(str(path))
    if stored is not None:
        for shard in range(min(stored.shards, 10)):
            integrity.shard(stored, shard)


def _use_dataset(path: pathlib.Path) -> None:
    dataset = reader.open(path, incomplete=True)
    assert all(len(values) == len(dataset) for values in dataset.columns.values())
    some = [0, len(dataset) - 1] if len(dataset) else []
    for array in dataset.attributes["arrays"]:
        dataset.read(array, some)
        dataset.attributes_of(array)
    names = [entry["name"] for entry in dataset.sources]
    assert not names or all(names[number] is not None for number in dataset.columns["source"].tolist())
    if dataset.names and some:
        dataset.read_crops([dataset.names[0]], some, 0, 0, 1, 1)


def _reseal(path: pathlib.Path, changed: str, *, begun: bool) -> None:
    try:
        group = json.loads((path / "zarr.json").read_bytes())
        ours = group["attributes"][schemas.ATTRIBUTE]
        if begun:
            for key in ("seal", "documents", "fingerprint", "valid_items"):
                ours.pop(key, None)
            ours["complete"] = False
        else:
            if changed.endswith("/zarr.json"):
                ours["documents"][changed] = hashlib.sha256((path / changed).read_bytes()).hexdigest()
            ours["seal"] = metadata_digests._digest(ours)
        (path / "zarr.json").write_bytes(json.dumps(group).encode("utf-8", "surrogatepass"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return


_roots: list[pathlib.Path] = []


def _root() -> pathlib.Path:
    return _roots[0]


def prepare(folder: pathlib.Path) -> None:
    """A folder for what is made once a process."""
    _roots[:] = [folder]


# Checkpoints and weights.


@functools.cache
def _trained() -> Any:
    """A tiny method after one step."""
    import torch

    from trainers import methods, recipe
    from trainers.methods import method

    torch.set_num_threads(1)
    text = _TRAINING.replace("width = 8\ncritic", "width = 2\nblocks = 1\ncritic").replace("width = 8", "width = 2")
    wanted = recipe.parse(text)
    torch.manual_seed(0)
    made = methods.find("deblurgan")(wanted.method, torch.device("cpu"))
    images = torch.rand(1, 3, 64, 64)
    made.step([method.Batch(images, images) for _ in range(made.batches_per_step)])
    return wanted, made


def _checkpoint_seeds(folder: pathlib.Path) -> list[bytes]:
    import torch

    from blursynth.config import toml
    from trainers.checkpoints import checkpoint

    wanted, made = _trained()
    metrics = {"protocol": "p", "images_scored": 1, "psnr": 20.0, "blurred_psnr": 19.0}
    trained_on = [{"path": "a.zarr", "fingerprint": "0" * 64, "transfer_function": "srgb", "pairs": 2, "weight": 1.0}]
    about = checkpoint.About(
        toml.to_toml(wanted), "deblurgan", "paper", 1, 2, trained_on, {"w": "none"}, metrics,
        {"best": 20.0, "summed": 1},
    )  # fmt: skip
    sums = {"pixel": torch.tensor(0.5, dtype=torch.float64)}
    mean = {name: value.clone() for name, value in made.networks["generator"].state_dict().items()}
    checkpoint.save(folder / "last.safetensors", about, made, sums, mean)
    checkpoint.save(folder / "best.safetensors", about, made)
    return [(folder / name).read_bytes() for name in ("last.safetensors", "best.safetensors")]


def _mutate_checkpoint(content: bytes, random: mutations.Random, others: Sequence[bytes]) -> bytes:
    """The header's JSON, the record in it, the recipe in that, the numbers behind it, or any bytes."""
    (length,) = struct.unpack("<Q", content[:8])
    text, rest = content[8 : 8 + length].rstrip(), content[8 + length :]
    which = int(random.integers(6))
    if which == 0:
        return mutations.mutate(content, random, others)
    header = json.loads(text)
    if which == 1:
        text = mutations.mutate_json(text, random)
    elif which in (2, 3):
        record = header["__metadata__"]["blursynth"].encode()
        if which == 3:
            values = json.loads(record)
            values["recipe"] = _mutate_toml(values["recipe"].encode(), random, ()).decode("utf-8", "replace")
            record = json.dumps(values).encode()
        else:
            record = mutations.mutate_json(record, random)
        header["__metadata__"]["blursynth"] = record.decode("utf-8", "replace")
        text = json.dumps(header).encode()
    elif which == 4:
        names = [name for name in header if name != "__metadata__"]
        entry = header[names[int(random.integers(len(names)))]]
        entry["dtype"] = str(random.choice(["F64", "F32", "F16", "I64", "I32", "BOOL", "U8", "C64", "F8_E4M3", "X"]))
        entry["shape"] = [int(random.choice([0, 1, 2, 8, 2**31, 2**62])) for _ in range(int(random.integers(4)))]
        text = json.dumps(header).encode()
    else:
        rest = mutations.mutate(rest, random)
    return struct.pack("<Q", len(text)) + text + rest


def _read_checkpoint(data: bytes, folder: pathlib.Path) -> None:
    import torch

    from trainers import methods
    from trainers.checkpoints import checkpoint
    from trainers.inference import restorer

    path = folder / "last.safetensors"
    path.write_bytes(data)
    wanted, _ = _trained()
    trained = _fresh()
    steps = [
        lambda: checkpoint.resume_from(path, 2),
        lambda: checkpoint.load_training_state(path, trained),
        lambda: checkpoint.load_ema(path, trained.networks["generator"].state_dict()),
        lambda: restorer.load(folder, torch.device("cpu")),
    ]
    assert methods.find(wanted.method_name) is type(trained)
    refused = [_attempt(step) for step in steps]
    if any(refused):
        raise next(error for error in refused if error is not None)


def _attempt(step: Callable[[], object]) -> Exception | None:
    from blursynth import errors

    try:
        step()
    except errors.BlursynthError as error:
        return error
    return None


@functools.cache
def _fresh() -> Any:
    import torch

    from trainers import methods

    wanted, _ = _trained()
    return methods.find("deblurgan")(wanted.method, torch.device("cpu"))


def _pth_seeds(folder: pathlib.Path) -> list[bytes]:
    import torch

    shapes = {
        "model.1": (1, 3, 7, 7), "model.4": (2, 1, 3, 3), "model.7": (4, 2, 3, 3), "model.11": (4, 2, 3, 3),
        "model.10.conv_block.1": (4, 4, 3, 3), "model.10.conv_block.6": (4, 4, 3, 3), "model.14": (2, 1, 3, 3),
        "model.18": (3, 1, 7, 7),
    }  # fmt: skip
    outputs = {"model.11": 2, "model.14": 1}
    state = {}
    for name, shape in shapes.items():
        state[f"{name}.weight"] = torch.ones(shape)
        state[f"{name}.bias"] = torch.ones(outputs.get(name, shape[0]))
    written = []
    for values, zipped in ((state, True), (state, False), ({"G": {**state, "epoch": torch.tensor(3)}}, True)):
        torch.save(values, folder / "w.pth", _use_new_zipfile_serialization=zipped)
        written.append((folder / "w.pth").read_bytes())
    odd = dict(state)
    odd["model.1.weight"] = torch.ones(1).expand(10**8, 3, 7, 7)
    odd["model.4.weight"] = torch.ones((2, 1, 3, 3), dtype=torch.complex64)
    odd["body_models.99999999999.body.0.weight"] = torch.ones(0)
    torch.save(odd, folder / "w.pth")
    return [*written, (folder / "w.pth").read_bytes()]


def _read_pth(data: bytes, folder: pathlib.Path) -> None:
    from trainers.checkpoints import conversion

    path = folder / "weights.pth"
    path.write_bytes(data)
    conversion.convert(path)


# Tables and annotations.

_PHOTO = source.Source("a.png", "", 40, 60, 1)


def _coco_seeds(folder: pathlib.Path) -> list[bytes]:
    instances = mask_files.instances(folder / "i.json", {"a.png": (40, 60), "b.png": (40, 60)})
    panoptic = mask_files.panoptic(folder / "p.json", {"a.png": (40, 60)})
    return [path.read_bytes() for path in (instances, panoptic)]


def _read_coco(data: bytes, folder: pathlib.Path) -> None:
    (folder / "p").mkdir()
    Image.fromarray(np.full((40, 60, 3), 9, np.uint8)).save(folder / "p" / "a.png")
    (folder / "p.json").write_bytes(data)
    _read_masks(masks.Masks(folder / "p.json"))


def _read_masks(found: masks.Masks) -> None:
    found.check()
    found.unclaimed((_PHOTO,))
    found.digest(_PHOTO)
    outlines = found.read(_PHOTO)
    for number in range(min(len(outlines.instances), 4)):
        outlines.mask(number, 20, 30)


def _yolo_seeds(_: pathlib.Path) -> list[bytes]:
    return [b"0 0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.5\n3 0.2 0.2 0.9 0.3 0.4 0.8\n", b"0 0.5 0.5 0.2 0.2\n"]


def _read_yolo(data: bytes, folder: pathlib.Path) -> None:
    (folder / "a.txt").write_bytes(data)
    _read_masks(masks.Masks(folder))


def _detector_seeds(folder: pathlib.Path) -> list[bytes]:
    return [onnx_files.write_detector(folder / "d.onnx", head).read_bytes() for head in ("v5", "v8")]


def _read_detector(data: bytes, folder: pathlib.Path) -> None:
    from trainers.detection import detectors

    (folder / "d.onnx").write_bytes(data)
    detectors.Yolo(folder / "d.onnx", size=onnx_files.SIDE)


def _gyro_seeds(_: pathlib.Path) -> list[bytes]:
    rows = "\n".join(f"{k / 200:.4f},{0.1 * k:.3f},-0.2,0.05" for k in range(20))
    return [f"time,x,y,z\n{rows}\n".encode(), rows.replace(",", " ").encode()]


def _read_gyro(data: bytes, folder: pathlib.Path) -> None:
    (folder / "gyro.csv").write_bytes(data)
    log = gyroscope.read(str(folder / "gyro.csv"))
    log.path(min(0.05, log.duration), 0.5, 3, 1.0)


def _kernel_seeds(folder: pathlib.Path) -> list[bytes]:
    line, stack = np.full((1, 5), 0.2), np.full((3, 4, 5), 0.05)
    cells = np.empty(2, object)
    cells[:] = [line, line.T]
    np.save(folder / "a.npy", line)
    np.save(folder / "b.npy", stack.astype(np.float16))
    np.savez_compressed(folder / "c.npz", one=line, more=stack)
    scipy.io.savemat(folder / "d.mat", {"kernels": cells})
    scipy.io.savemat(folder / "e.mat", {"f": line, "x": np.zeros((8, 8))}, do_compression=True)
    Image.fromarray((line * 1000).astype(np.uint8)).save(folder / "f.png")
    return [file.name.encode() + b"\n" + file.read_bytes() for file in sorted(folder.iterdir())]


def _read_kernels(data: bytes, folder: pathlib.Path) -> None:
    name, content = _split(data)
    (folder / name).write_bytes(content)
    kernels = kernel_files.open_(str(folder / name), normalise=True)
    psfs = kernels.read(np.arange(min(kernels.count, 10)), kernels.side)
    assert np.abs(psfs.sum(axis=(1, 2)) - 1).max() < 1e-6


def _tar_seeds(_: pathlib.Path) -> list[bytes]:
    written = []
    for kind in (tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        whole = io.BytesIO()
        with tarfile.open(fileobj=whole, mode="w", format=kind) as tar:
            for key in ("0" * 6, "1" * (6 if kind == tarfile.USTAR_FORMAT else 120)):
                for field, data in (("blur.png", png.encode(_pixels())), ("sharp.png", png.encode(_pixels()))):
                    entry = tarfile.TarInfo(f"{key}.{field}")
                    entry.size = len(data)
                    tar.addfile(entry, io.BytesIO(data))
        written.append(whole.getvalue())
    return written


def _read_tar(data: bytes, folder: pathlib.Path) -> None:
    (folder / "train-000000.tar").write_bytes(data)
    found = image_files.Files(str(folder))
    listing = webdataset.find(found, layout.Wanted(None, None, None))
    for pair in listing.pairs:
        for name in (pair.blurred, pair.sharp):
            image_files.measure(found, name)


TARGETS: Mapping[str, Target] = {
    "checkpoint": Target(_checkpoint_seeds, _read_checkpoint, _mutate_checkpoint),
    "coco": Target(_coco_seeds, _read_coco, mutations.mutate_json),
    "dataset": Target(_dataset_seeds, _read_dataset, _mutate_dataset, named=True),
    "detector": Target(_detector_seeds, _read_detector, share=0.04),
    "gyro": Target(_gyro_seeds, _read_gyro, mutations.mutate_text),
    "kernels": Target(_kernel_seeds, _read_kernels, named=True),
    "photo": Target(_photo_seeds, _read_photo),
    "png": Target(_png_seeds, _read_png, _mutate_png),
    "pth": Target(_pth_seeds, _read_pth),
    "recipe": Target(_recipe_seeds, _read_recipe, _mutate_toml, named=True),
    "tar": Target(_tar_seeds, _read_tar),
    "video": Target(_video_seeds, _read_video, named=True),
    "yolo": Target(_yolo_seeds, _read_yolo, mutations.mutate_text),
}
