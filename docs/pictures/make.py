"""Make the pictures of the README with the commands that it shows: `python docs/pictures/make.py`.

Photos: astronaut (NASA, public domain), chelsea (Stefan van der Walt, CC0) and coffee (Rachel Michetti, CC0), as they
come with scikit-image. The clip is made of them: a photo that slides behind a still one, because a real clip would be
too large to keep here. The report is photographed with Chromium where there is one.
"""

import argparse
import pathlib
import shutil
import subprocess
import sys
import tempfile

import av
import numpy as np
import skimage.data
from PIL import Image

HERE = pathlib.Path(__file__).resolve().parent
PHOTOS = ("astronaut", "chelsea", "coffee")
QUALITY = 82  # of JPEG
CELL, ROWS = 208, 2

# picture -> the commands that make it, in order; the last one writes picture.png
PICTURES = {
    "convolve": [
        "convolve photos/ --size 256 --preset deblurgan --length 20:60 --seed 6 --out convolve.zarr",
        f"preview convolve.zarr --count {ROWS} --cell {CELL}",
    ],
    "field": [
        "convolve photos/ --size 256 --field 4x4 --variation 0.8:1 --preset deblurgan --length 20:40 --seed 4 "
        "--out field.zarr",
        f"preview field.zarr --count {ROWS} --cell {CELL}",
    ],
    "shake": [
        "shake photos/ --size 256 --motion 15:30 --seed 3 --out shake.zarr",
        f"preview shake.zarr --count {ROWS} --cell {CELL}",
    ],
    "realism": [
        "convolve photos/ --size 256 --transfer srgb --realism rsblur --realism jpeg=60:90 --preset deblurgan "
        "--length 20:60 --seed 8 --out realism.zarr",
        f"preview realism.zarr --count {ROWS} --cell {CELL}",
    ],
    "average-frames": [
        "average-frames video.mp4 --out average-frames.zarr",
        f"preview average-frames.zarr --count 1 --cell {CELL}",
    ],
    "trajectories": [
        "trajectories --n 1000 --preset deblurgan --out trajectories.zarr",
        f"preview trajectories.zarr --count 4 --cell {CELL}",
    ],
    "psfs": [
        "psfs trajectories.zarr --exposures 0.1,0.5,1 --size 65 --out psfs.zarr",
        f"preview psfs.zarr --count 4 --cell {CELL}",
    ],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=HERE, help="where the pictures go (default: beside me)")
    parser.add_argument("--no-report", action="store_true", help="leave the report's picture out")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        write_photos(work / "photos")
        write_clip(work / "video.mp4")
        for picture, commands in PICTURES.items():
            for command in commands:
                blursynth(command, work)
            with Image.open(work / f"{picture}.png") as sheet:
                sheet.save(given.out / f"{picture}.jpg", quality=QUALITY, optimize=True)
        if given.no_report:
            return
        blursynth("convolve photos/ --size 128 --per-photo 500 --preset deblurgan --out pairs.zarr", work)
        blursynth("report pairs.zarr --count 3", work)
        photograph(work / "pairs.html", given.out / "report.jpg")


def blursynth(command: str, folder: pathlib.Path) -> None:
    """Run a command as a user would."""
    subprocess.run([sys.executable, "-m", "blursynth", *command.split()], cwd=folder, check=True)


def write_photos(folder: pathlib.Path) -> None:
    """The photos as PNG."""
    folder.mkdir()
    for name in PHOTOS:
        Image.fromarray(np.asarray(getattr(skimage.data, name)())).save(folder / f"{name}.png")


def write_clip(path: pathlib.Path) -> None:
    """13 frames at 240 per second: coffee slides 3 px a frame to the left behind the cat, who sits still."""
    table, cat = np.asarray(skimage.data.coffee()), np.asarray(skimage.data.chelsea())[::2, ::2]
    height, width, span = 320, 480, 13
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=240, options={"crf": "12"})
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        for k in range(span):
            pixels = np.ascontiguousarray(table[40 : 40 + height, 3 * k : 3 * k + width])
            pixels[height - cat.shape[0] :, : cat.shape[1]] = cat
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))


def photograph(page: pathlib.Path, target: pathlib.Path) -> None:
    """The upper part of the report as a browser shows it; without Chromium it says so and makes none."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        sys.stderr.write(f"No Chromium: {target} is not made.\n")
        return
    seen = page.with_suffix(".png")
    command = [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += [f"--user-data-dir={page.parent / 'browser'}", "--window-size=1180,2100", f"--screenshot={seen}"]
    subprocess.run([*command, page.as_uri()], check=True, capture_output=True, timeout=120)
    with Image.open(seen) as image:
        small = image.convert("RGB").resize((820, 820 * image.height // image.width), Image.Resampling.LANCZOS)
    small.save(target, quality=QUALITY, optimize=True)


if __name__ == "__main__":
    main()
