"""Small smooth inputs for every command: photos, depth maps, masks, a gyroscope, clips and published layouts."""

import fractions
import json
import pathlib
import shutil
import tarfile
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from PIL import Image

Codes = npt.NDArray[np.uint8]
SIZES = ((40, 52), (48, 40), (44, 44), (56, 48))


def write(root: pathlib.Path) -> None:
    """Write all inputs below `root`."""
    photos(root)
    beside_photos(root)
    clips(root)
    published(root)


def for_networks(root: pathlib.Path) -> None:
    """Photos and a clip to restore, and scenes for QR codes."""
    root.mkdir(parents=True)
    for k in range(2):
        save(root / "photos" / f"{k}.png", waves(28 + 4 * k, 32, 60 + k))
        save(root / "scenes" / f"{k}.png", waves(128, 128, 62 + k))
    video(root / "clip.mp4", [waves(32, 48, 64, 1.5 * k) for k in range(3)], 30)


def waves(height: int, width: int, number: int, shift: float = 0.0) -> Codes:
    """A smooth image with a bright disc, uint8 (height, width, 3); `shift`: how far it moved to the left, in px."""
    down, across = np.mgrid[0:height, 0:width].astype(np.float64)
    across += shift
    draws = np.random.default_rng(number)
    values = np.full((height, width, 3), 118.0)
    for _ in range(3):
        turn, length, phase = draws.uniform(0, np.pi), draws.uniform(9, 40), draws.uniform(0, 2 * np.pi, 3)
        along = (down * np.sin(turn) + across * np.cos(turn)) * 2 * np.pi / length
        values += 34 * np.sin(along[..., None] + phase)
    near = np.hypot(down - 0.4 * height, across - 0.45 * width - shift / 2) < 0.16 * min(height, width)
    values[near] = [250, 244, 190]
    return np.clip(np.round(values / 2) * 2, 0, 255).astype(np.uint8)


def save(path: pathlib.Path, pixels: npt.NDArray[Any], **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def photos(root: pathlib.Path) -> None:
    """Folders of photos of several kinds; `more` is `few` and others; `cut` has one with damaged pixels."""
    for k in range(4):
        pixels = waves(*SIZES[k], k)
        for folder in ("photos", "more", "cut"):
            save(root / folder / f"{k}.png", pixels)
        save(root / "same" / f"{k}.png", waves(32, 32, 10 + k))
    for k in range(2):
        shutil.copytree(root / "more", root / "few", dirs_exist_ok=True, ignore=lambda *_: ["2.png", "3.png"])
        save(root / "more" / "sub" / f"{k}.png", waves(40, 40, 20 + k))
    save(root / "kinds" / "grey.png", waves(36, 40, 30)[..., 1])
    save(root / "kinds" / "deep.png", waves(36, 40, 31)[..., 0].astype(np.uint16) * 257)
    turned = Image.Exif()
    turned[0x0112] = 6
    save(root / "kinds" / "turned.jpg", waves(36, 40, 32), quality=90, exif=turned)
    save(root / "kinds" / "alpha.png", np.dstack([waves(36, 40, 33), np.full((36, 40), 255, np.uint8)]))
    whole = (root / "cut" / "3.png").read_bytes()
    (root / "cut" / "3.png").write_bytes(whole[: len(whole) // 2])
    (root / "cut" / "notes.png").write_text("not a photo")


def beside_photos(root: pathlib.Path) -> None:
    """What is given with `photos`: depth maps, masks of three kinds, a recording, a camera's response."""
    (root / "depth").mkdir()
    (root / "yolo").mkdir()
    (root / "panoptic").mkdir()
    coco: dict[str, list[Any]] = {"images": [], "annotations": []}
    segments: dict[str, Any] = {"images": [], "annotations": [], "categories": [{"id": 7, "isthing": 1, "name": "it"}]}
    for k, (height, width) in enumerate(SIZES):
        down, across = np.mgrid[0:height, 0:width]
        metres = 2 + (down // 12 + across // 12) % 3
        if k % 2:
            save(root / "depth" / f"{k}.png", (metres * 1000).astype(np.uint16))
        else:
            np.save(root / "depth" / f"{k}.npy", metres.astype(np.float32))
        entry = {"id": k, "file_name": f"{k}.png", "height": height, "width": width}
        x, y, side = width // 3, height // 4, height // 3
        outline = [x, y, x + side, y, x + side, y + side, x, y + side]
        about = {"image_id": k, "category_id": 7, "iscrowd": 0, "area": side * side}
        coco["images"].append(entry)
        coco["annotations"].append({"id": 10 + k, "segmentation": [outline], **about})
        parts = [f"{value / (height if n % 2 else width):.6f}" for n, value in enumerate(outline)]
        (root / "yolo" / f"{k}.txt").write_text(f"0 {' '.join(parts)}\n")
        whose = np.zeros((height, width, 3), np.uint8)
        whose[y : y + side, x : x + side, 0] = 5
        save(root / "panoptic" / f"{k}.png", whose)
        segment = {"id": 5, "category_id": 7, "iscrowd": 0, "area": side * side}
        segments["images"].append(entry)
        segments["annotations"].append({"image_id": k, "file_name": f"{k}.png", "segments_info": [segment]})
    (root / "instances.json").write_text(json.dumps(coco))
    (root / "panoptic.json").write_text(json.dumps(segments))
    times = np.arange(200) / 200
    rates = [0.1 * np.sin(7 * times), 0.08 * np.cos(5 * times), 0.05 * np.sin(3 * times)]
    rows = [",".join(f"{value:.6f}" for value in row) for row in zip(times, *rates, strict=True)]
    (root / "gyro.csv").write_text("\n".join(["time (s),x (rad/s),y (rad/s),z (rad/s)", *rows]) + "\n")
    (root / "bare.csv").write_text("\n".join(rows) + "\n")
    light = [f"{(code / 255) ** 1.9:.6f}" for code in range(256)]
    (root / "response.csv").write_text("\n".join(light) + "\n")


def clips(root: pathlib.Path) -> None:
    """A folder of frames in a folder by split, two short videos, and one of them cut short."""
    frames = [waves(32, 48, 40, 1.5 * k) for k in range(24)]
    for k, frame in enumerate(frames):
        save(root / "frames" / f"{k:03d}.png", frame)
    for split, number in (("train", 41), ("test", 42)):
        for k in range(12):
            save(root / "large" / split / f"GOPR0{number}_07_00" / f"{k:03d}.png", waves(32, 48, number, 2.0 * k))
    still = [frames[0]] * 12
    (root / "clips").mkdir()
    video(root / "clips" / "moving.mp4", frames, 240)
    video(root / "clips" / "still.mp4", still, 240)
    video(root / "slow.mp4", frames, 60)
    video(root / "whole.mkv", [waves(32, 48, 43, 1.5 * k) for k in range(36)], 240)
    whole = (root / "whole.mkv").read_bytes()
    (root / "damaged.mkv").write_bytes(whole[: len(whole) * 3 // 4])
    (root / "whole.mkv").unlink()


def video(path: pathlib.Path, frames: list[Codes], rate: int) -> None:
    """Code RGB frames with H.264."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "16", "preset": "veryfast", "threads": "1"})
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], "yuv420p"
        stream.gop_size = 12
        for k, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = k, fractions.Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def published(root: pathlib.Path) -> None:
    """Pairs in the layouts of published sets: the sharp image, and its mean with a shifted one."""
    for k in range(4):
        sharp, blurred = pair(k)
        sequence = root / "gopro" / ("test" if k == 3 else "train") / f"GOPR000{k // 2}_07_00"
        save(sequence / "sharp" / f"{k:06d}.png", sharp)
        save(sequence / "blur" / f"{k:06d}.png", blurred)
        save(sequence / "blur_gamma" / f"{k:06d}.png", blurred // 2 + sharp // 2)
        split = "val" if k == 3 else "train"
        save(root / "reds" / split / f"{split}_blur" / "000" / f"{k:08d}.png", blurred)
        save(root / "reds" / split / f"{split}_sharp" / "000" / f"{k:08d}.png", sharp)
    for image in (1, 2):
        sharp, blurred = pair(image)
        save(root / "kohler" / f"Blurry{image}_1.png", blurred)
        for position in (1, 2, 3):
            save(root / "kohler" / f"GroundTruth{image}_1_{position}.png", np.roll(sharp, position - 2, axis=1))
    for kind in ("natural_01", "text_02"):
        sharp, blurred = pair(len(kind))
        save(root / "lai" / f"{kind}.png", sharp)
        save(root / "lai" / f"{kind}_kernel_01.png", blurred)
        save(root / "lai" / f"{kind}_gyro_07.png", np.roll(blurred, 1, axis=0))
    (root / "tars").mkdir()
    for split, numbers in (("train", (0, 1, 2)), ("val", (3,))):
        with tarfile.open(root / "tars" / f"{split}-000000.tar", "w") as tar:
            for k in numbers:
                for name in ("blur", "sharp"):
                    file = root / "gopro" / ("test" if k == 3 else "train") / f"GOPR000{k // 2}_07_00"
                    tar.add(file / name / f"{k:06d}.png", f"{k:06d}.{name}.png", filter=anonymous)


def pair(number: int) -> tuple[Codes, Codes]:
    """A sharp and a blurred image."""
    sharp = waves(32, 40, 50 + number)
    blurred = (sharp.astype(np.uint16) + waves(32, 40, 50 + number, 3.0)) // 2
    return sharp, blurred.astype(np.uint8)


def anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.mtime = entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry
