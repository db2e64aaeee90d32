"""A small dataset of every kind, as its command would make it."""

import dataclasses
import fcntl
import hashlib
import os
import pathlib
import pickle
import shutil
import tarfile
from collections.abc import Callable, Sequence
from typing import Any

import mask_files
import numpy as np
import pytest
from PIL import Image

from blursynth.config import photo_pairs, toml
from blursynth.makers import camera_psfs, convolve, imported_pairs_request, objects, psfs, shake, trajectories
from blursynth.production import maker, run
from blursynth.storage import metadata_digests, reader, writer
from blursynth.storage import schema as schemas
from blursynth.stores import store

SMALL = {"steps": 200, "length": "5:20"}
PAIRS: dict[str, Any] = {"seed": 4, "size": 24, "per_photo": 3, "exposure": "0.1,0.5,1", "shard_length": 4, **SMALL}
KINDS = (
    "trajectories",
    "psfs",
    "psfs by box",
    "psfs of cameras",
    "photos",
    "photos resized",
    "photos with paths",
    "photos with a field",
    "photos shaken",
    "photos shaken at depths",
    "photos with moving objects",
    "photos with realism",
    "scenes",
    "imported",
    "imported crops",
    "imported tars",
)


def photos(folder: pathlib.Path) -> pathlib.Path:
    """Seven photos of noise and one whose header is whole and whose pixels are not."""
    folder.mkdir(parents=True, exist_ok=True)
    draws = np.random.default_rng(0)
    for k in range(7):
        Image.fromarray(draws.integers(0, 256, (40 + k, 50 - k, 3), dtype=np.uint8)).save(folder / f"{k}.png")
    (folder / "cut.png").write_bytes((folder / "6.png").read_bytes()[:1500])
    return folder


def depth_maps(folder: pathlib.Path) -> str:
    """Maps of `photos`, of both kinds."""
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(7):
        down, across = np.mgrid[0 : 40 + k, 0 : 50 - k]
        metres = 2 + (down // 8 + across // 8) % 3
        if k % 2:
            Image.fromarray((metres * 1000).astype(np.uint16)).save(folder / f"{k}.png")
        else:
            np.save(folder / f"{k}.npy", metres)
    np.save(folder / "cut.npy", np.ones((46, 44)))
    return str(folder)


def masks_of_photos(folder: pathlib.Path) -> str:
    """Masks of `photos`, of both kinds."""
    if not folder.exists():
        folder.mkdir(parents=True)
        sizes = {f"{k}.png": (40 + k, 50 - k) for k in range(7)} | {"cut.png": (46, 44)}
        mask_files.instances(folder / "instances.json", {name: sizes[name] for name in list(sizes)[:4]})
        mask_files.panoptic(folder / "panoptic.json", {name: sizes[name] for name in list(sizes)[4:]})
    return str(folder)


def paths(folder: pathlib.Path) -> str:
    """A dataset of trajectories."""
    out = folder / "paths.zarr"
    run.produce(trajectory_maker(), out)
    return str(out)


def trajectory_recipe(paths: int) -> photo_pairs.Trajectories:
    return toml.build({"n": paths, "motion": SMALL}, photo_pairs.Trajectories)


def trajectory_maker() -> trajectories.TrajectoryMaker:
    return trajectories.TrajectoryMaker(trajectory_recipe(30), 4, "blursynth trajectories --n 30", 8)


def make(kind: str, folder: pathlib.Path) -> maker.Maker:
    """The maker of a small dataset of this kind, whose inputs lie in `folder`."""
    if kind == "trajectories":
        return trajectory_maker()
    if kind == "psfs of cameras":
        run.produce(make("photos shaken", folder), folder / "shaken.zarr")
        return camera_psfs.maker(str(folder / "shaken.zarr"), {"grid": "2x3", "shard_length": 16})
    if kind.startswith("psfs"):
        centring = "bounding-box" if "box" in kind else "centroid"
        return psfs.maker(paths(folder), {"exposures": "0.1,1", "size": 33, "centring": centring, "shard_length": 16})
    if kind.startswith("imported"):
        return imported(kind, folder)
    if kind == "scenes":
        return convolve.maker("scenes:5", PAIRS)
    if kind.startswith("photos shaken"):
        asked = {"seed": 4, "size": 24, "per_photo": 3, "motion": "2:9", "readout": 0.5, "shard_length": 4}
        asked |= {"depth": depth_maps(folder / "depth")} if "depths" in kind else {}
        return shake.maker(str(photos(folder / "photos")), asked)
    if kind == "photos with moving objects":
        asked = {"seed": 4, "size": 24, "per_photo": 3, "motion": "2:5", "object_motion": "3:9", "readout": 0.5}
        masks = {"masks": masks_of_photos(folder / "masks"), "objects": 2, "shard_length": 4}
        return objects.maker(str(photos(folder / "photos")), asked | masks)
    changes: dict[str, Any] = {"trajectories": paths(folder)} if "paths" in kind else {}
    asked = PAIRS if "paths" not in kind else {name: PAIRS[name] for name in PAIRS if name not in SMALL}
    changes |= {"field": "2x3", "variation": "0:0.5"} if "field" in kind else {}
    if "realism" in kind:
        changes["realism"] = ["rsblur", "saturation=off", "jpeg=60:95", "gaussian=0.01"]
    changes |= {"fit": "resize"} if "resized" in kind else {}
    return convolve.maker(str(photos(folder / "photos")), asked | changes)


@dataclasses.dataclass(frozen=True)
class Kept:
    """A dataset that nobody changes, nor what it was made from, and its maker."""

    path: pathlib.Path
    maker: maker.Maker

    def copy(self, path: pathlib.Path) -> pathlib.Path:
        """The dataset alone, at another place; its inputs stay where they are."""
        return pathlib.Path(shutil.copytree(self.path, path))


def shared_folder(factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder of all processes of a test run."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "kinds"
    folder.mkdir(exist_ok=True)
    return folder


def keep(kind: str, shared: pathlib.Path) -> Kept:
    """A dataset of a kind, made by the first who asks for it."""
    folder = shared / kind.replace(" ", "-")
    made = folder / "maker.pickle"
    with (shared / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            mine = make(kind, folder)
            run.produce(mine, folder / "a.zarr")
            made.write_bytes(pickle.dumps(mine))
    return Kept(folder / "a.zarr", pickle.loads(made.read_bytes()))


def pair_files(folder: pathlib.Path, names: Sequence[str] = ("input", "target"), count: int = 5) -> pathlib.Path:
    """Two folders of noise in each of two splits: pairs of one size, the last with a file cut short."""
    draws = np.random.default_rng(1)
    for k in range(count):
        for name in names:
            path = folder / ("val" if k % 5 == 3 else "train") / name / f"{k}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(draws.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:3000])
    return folder


def pair_tars(folder: pathlib.Path, count: int = 5) -> pathlib.Path:
    """The same in a tar for each split."""
    plain, tars = pair_files(folder / "plain", count=count), folder / "tars"
    tars.mkdir()
    for split in ("train", "val"):
        with tarfile.open(tars / f"{split}-000000.tar", "w") as tar:
            for file in sorted((plain / split / "input").iterdir()):
                tar.add(file, f"{file.stem}.blur.png")
                tar.add(plain / split / "target" / file.name, f"{file.stem}.sharp.png")
    return tars


def imported(kind: str, folder: pathlib.Path) -> maker.Maker:
    """The maker of imported pairs."""
    asked: dict[str, Any] = {"seed": 4, "shard_length": 4, "transfer": "srgb"}
    if kind == "imported tars":
        return imported_pairs_request.maker("webdataset", str(pair_tars(folder, 10)), asked)
    count = 10
    if kind == "imported crops":
        asked, count = asked | {"size": 24, "per_pair": 3}, 5
    return imported_pairs_request.maker("flat", str(pair_files(folder / "images", count=count)), asked)


def damage_as_recorded(path: pathlib.Path, array: str, shard: int, damage: Callable[[bytes], bytes]) -> None:
    """Damage one object as if it had happened before it was hashed: its digest and the fingerprint agree with it."""
    attributes = reader.stored_attributes(str(path))
    assert attributes is not None
    there = path / array / "c" / str(shard)
    (file,) = (each for each in (there, *there.rglob("*")) if each.is_file())
    file.write_bytes(damage(file.read_bytes()))
    _, rows = reader.digests(str(path), attributes)
    rows[shard, attributes["arrays"].index(array)] = np.frombuffer(hashlib.sha256(file.read_bytes()).digest(), np.uint8)
    writer.write_digests(str(path), schemas.digest_schema(attributes), shard, rows[shard])
    attributes["fingerprint"] = hashlib.sha256(rows.tobytes()).hexdigest()
    store.write_json(str(path), schemas.GROUP, schemas.group_document(metadata_digests.sealed(str(path), attributes)))


def contents(path: pathlib.Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}
