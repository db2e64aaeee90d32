"""Spatially varying blur on one core: fields of PSFs and camera paths, beside what SciPy and OpenCV do.

    python tests/benchmarks/bench_shake.py

Each row is the best of several runs by processor time, kernels compiled before. The peers do the same work:
convolutions by FFT with the same windows, warpPerspective of float32 images at the same moments. Errors are against
float64. Below them, whole pairs as the commands make them of two photos in scikit-image: paths drawn and scaled, masks
and depths looked up, light, realism, codes; all but storing the pair.
"""

import functools
import os
import pathlib
import sys
import tempfile
import time
from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import signal
from skimage import data

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import mask_files
import reference_shake

from blursynth.kernels import field, layer_compositing, pose, psf, trajectory, warp
from blursynth.makers import convolve, objects, shake
from blursynth.media import photos

Floats32 = npt.NDArray[np.float32]


def best(work: Callable[[], object], runs: int = 5) -> float:
    found = float("inf")
    for _ in range(runs):
        began = time.process_time()
        work()
        found = min(found, time.process_time() - began)
    return found


def row(name: str, ours: float, peer: str, theirs: float) -> None:
    print(f"| {name} | {1 / ours:.1f}/s | {peer} {1 / theirs:.2f}/s | {theirs / ours:.1f} |", flush=True)


def kernels(points: int, size: int) -> Floats32:
    items = np.arange(points * points)
    parameters = np.tile(np.array([[0.005, 0.35, 0.1, 5.0, 1.0]], np.float32), (len(items), 1))
    paths = trajectory.simulate(0, items, parameters, steps=2000, length=60.0, dynamics="boracchi-foi")
    spans = np.tile(np.array([[0, 1]], np.float32), (len(items), 1))
    return psf.rasterise(paths.position, spans, size).reshape(points, points, size, size)


def fields() -> None:
    window = np.random.default_rng(0).random((256 + 62, 256 + 62, 3), np.float32)
    psfs = kernels(4, 63)
    tents = [field.windows(4, 256)] * 2

    def by_fft() -> Floats32:
        result = np.zeros((256, 256, 3), np.float32)
        for gy, gx in np.ndindex(4, 4):
            seen = signal.fftconvolve(window, psfs[gy, gx][:, :, None], "valid", axes=(0, 1))
            result += seen * np.outer(tents[0][gy], tents[1][gx])[:, :, None]
        return result

    made = field.blur(window, psfs)
    error = np.abs(made - reference_shake.field(window.astype(np.float64), psfs.astype(np.float64))).max()
    row("field 4x4 of 63x63, 256x256 RGB", best(lambda: field.blur(window, psfs)), "fftconvolve", best(by_fft, 2))
    print(f"| (largest error against float64: {error:.1e}) | | | |")


def shakes() -> None:
    for height, width, motion in ((256, 256, 40), (720, 1280, 40)):
        view = pose.View(height, width, float(max(height, width)), (width - 1) / 2, (height - 1) / 2)
        path = walk(view, motion)
        margin = 8 + int(np.ceil(pose.reach(path, view, [0.0])))
        planes = np.random.default_rng(0).random((3, height + 2 * margin, width + 2 * margin), np.float32)

        def ours(
            path: Floats32 = path, view: pose.View = view, planes: Floats32 = planes, margin: int = margin
        ) -> None:
            samples = pose.samples(path, view, [0.0], 1.0)
            warp.accumulate(planes, margin, pose.maps(samples.pose_T6, view.focal, 0.0)[1], samples.weights_RT, view)

        samples = pose.samples(path, view, [0.0], 1.0)
        image = np.ascontiguousarray(planes.transpose(1, 2, 0))
        centre = np.array([[1, 0, margin + view.centre_x], [0, 1, margin + view.centre_y], [0, 0, 1.0]])
        matrices = [
            centre @ np.linalg.inv(reference_shake.homography(each, view.focal, 0.0)) @ np.linalg.inv(centre)
            for each in samples.pose_T6
        ]

        def by_opencv(
            image: Floats32 = image,
            matrices: list[npt.NDArray[np.float64]] = matrices,
            shares: Floats32 = samples.weights_RT,
        ) -> None:
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            total = np.zeros_like(image)
            for matrix, share in zip(matrices, shares[0], strict=True):
                seen = cv2.warpPerspective(
                    image, matrix, image.shape[1::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE
                )
                cv2.scaleAdd(seen, float(share), total, total)

        ours()
        name = f"shake {width}x{height} RGB, {samples.motion:.0f} px of motion, {len(matrices)} moments"
        row(name, best(ours), "warpPerspective", best(by_opencv, 2))


def layered() -> None:
    """Objects over a background that the camera blurs, and the planes of a depth map; 256x256, 40 px of motion."""
    view, margin = pose.View(256, 256, 256.0, 127.5, 127.5), 50
    path = walk(view, 40)
    samples = pose.samples(path, view, [0.0], 1.0)
    back = pose.maps(samples.pose_T6, view.focal, 0.0)[1]
    window = np.random.default_rng(0).random((1, 4, 256 + 2 * margin, 256 + 2 * margin), np.float32)
    window[:, 3] = 1
    for name, boxes in (
        ("2 objects of 80x80", [(90, 90, 80, 80), (180, 160, 80, 80)]),
        ("8 planes, each a band of 40 rows more", [(44 * k, 0, 356, 356) for k in range(1, 8)]),
    ):
        alphas = [np.zeros(window.shape[2:], np.float32) for _ in boxes]
        for alpha, (top, left, height, width) in zip(alphas, boxes, strict=True):
            alpha[top : top + height, left : left + width] = 1
        layers = np.concatenate([window, *(window * alpha for alpha in alphas)])
        maps = np.repeat(back[None], len(layers), axis=0)
        pictures = [np.ascontiguousarray(layer.transpose(1, 2, 0)) for layer in layers]
        centre = np.array([[1, 0, margin + view.centre_x], [0, 1, margin + view.centre_y], [0, 0, 1.0]])
        matrices = [
            centre @ np.linalg.inv(reference_shake.homography(each, view.focal, 0.0)) @ np.linalg.inv(centre)
            for each in samples.pose_T6
        ]

        def ours(layers: Floats32 = layers, maps: npt.NDArray[np.float64] = maps) -> Floats32:
            return layer_compositing.composite(layers, margin, maps, samples.weights_RT, view)

        def by_opencv(pictures: list[Floats32] = pictures, matrices: list[npt.NDArray[np.float64]] = matrices) -> None:
            total = np.zeros((*pictures[0].shape[:2], 3), np.float32)
            for matrix, share in zip(matrices, samples.weights_RT[0], strict=True):
                seen = np.zeros_like(total)
                for picture in pictures:
                    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
                    now = cv2.warpPerspective(picture, matrix, picture.shape[1::-1], flags=flags)
                    seen = now[..., :3] + seen * (1 - now[..., 3:])
                total += share * seen

        ours()
        title = f"{name} over a background, 256x256 RGB, {len(matrices)} moments"
        row(title, best(ours), "warpPerspective", best(by_opencv, 2))


def pairs() -> None:
    """64 pairs of each command, 256x256, by processor time."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "photos").mkdir()
        for photo in ("astronaut", "coffee"):
            Image.fromarray(getattr(data, photo)()).save(folder / "photos" / f"{photo}.png")
        sizes = {path.name: photos.probe(path) for path in (folder / "photos").iterdir()}
        masks = mask_files.instances(folder / "instances.json", sizes)
        (folder / "depth").mkdir()
        for stem, (height, width) in ((pathlib.Path(key).stem, size) for key, size in sizes.items()):
            floor = np.repeat(np.linspace(10, 1, height, dtype=np.float32)[:, None], width, axis=1)
            np.save(folder / "depth" / f"{stem}.npy", floor)
        print("\n| pairs, 256x256 RGB | ours |\n|---|---|")
        for title, command, options in (
            ("convolve --field 4x4, paths of 42 px", convolve, {"field": "4x4", "length": 42}),
            ("shake --motion 40", shake, {"motion": 40}),
            ("shake --motion 40 --realism rsblur", shake, {"motion": 40, "realism": ["rsblur"], "transfer": "srgb"}),
            ("shake --motion 5:40 --depth FOLDER", shake, {"motion": "5:40", "depth": str(folder / "depth")}),
            ("objects --motion 5:40, 1 to 3 of 5 to 40 px", objects, {"motion": "5:40", "masks": str(masks)}),
        ):
            made = command.maker(str(folder / "photos"), {"seed": 0, "size": 256, "per_photo": 32} | options)
            made.make(range(2))
            seconds = best(functools.partial(made.make, range(64)), 3)
            print(f"| {title} | {64 / seconds:.1f}/s |", flush=True)


def walk(view: pose.View, motion: float) -> Floats32:
    """A camera path whose fastest pixels move `motion` px."""
    steps = np.random.default_rng(1).normal(size=(200, 6)) * [1, 1, 1, 0, 0, 0]
    path = np.cumsum(np.cumsum(steps, axis=0), axis=0)
    path -= path[len(path) // 2]
    scale = 1e-5
    for _ in range(12):
        scale *= motion / pose.samples((path * scale).astype(np.float32), view, [0.0], 1.0).motion
    return (path * scale).astype(np.float32)


if __name__ == "__main__":
    cv2.setNumThreads(1)
    print(f"load {os.getloadavg()[0]:.1f}, one core\n\n| work | ours | peer | ratio |\n|---|---|---|---|")
    fields()
    shakes()
    layered()
    pairs()
