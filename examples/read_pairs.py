"""Make pairs of procedural scenes, read one, and save it: `python examples/read_pairs.py [OUT]`."""

import pathlib
import subprocess
import sys

import numpy as np
from PIL import Image

import blursynth

out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "example-pairs")
out.mkdir(exist_ok=True)
dataset = str(out / "pairs.zarr")
command = ["convolve", "scenes:4", "--size", "96", "--per-photo", "2", "--length", "5:25", "--out", dataset]
subprocess.run([sys.executable, "-m", "blursynth", *command], check=True)

pairs = blursynth.open(dataset)
blurred, sharp, psf = (pairs.read(name, [3])[0] for name in ("blurred", "sharp", "psf"))
print(f"item 3 of {pairs.items}: blurred {blurred.shape} {blurred.dtype}, PSF {psf.shape}, sum {psf.sum():.6f}")
print(f"how 8-bit values relate to linear intensity: {pairs.transfer_function}")
Image.fromarray(np.concatenate([blurred, sharp], axis=1)).save(out / "item-3.png")
print(f"blurred and sharp, side by side: {out / 'item-3.png'}")
