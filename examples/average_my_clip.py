"""Average frames to pairs and say how far things move: `python examples/average_my_clip.py [CLIP_OR_FOLDER]`.

Without an argument a folder of 33 frames is made first, in which a texture slides by 2 px a frame.
"""

import pathlib
import subprocess
import sys

import numpy as np
from PIL import Image

import blursynth


def sliding_frames(folder: pathlib.Path) -> str:
    """Write 33 frames of 96x128 px of a smooth texture that slides to the right."""
    folder.mkdir(parents=True, exist_ok=True)
    texture = np.random.default_rng(0).integers(0, 256, (12, 32, 3), dtype=np.uint8)
    wide = Image.fromarray(texture).resize((256, 96), Image.Resampling.BICUBIC)
    for k in range(33):
        wide.crop((2 * k, 0, 2 * k + 128, 96)).save(folder / f"{k:06d}.png")
    return str(folder)


clip = sys.argv[1] if len(sys.argv) > 1 else sliding_frames(pathlib.Path("example-frames"))
command = ["average-frames", clip, "--frames", "11", "--fps", "240", "--out", "example-clip.zarr"]
subprocess.run([sys.executable, "-m", "blursynth", *command], check=True)

pairs = blursynth.open("example-clip.zarr")
for item in range(pairs.items):
    step, motion = (float(pairs.columns[name][item]) for name in ("step_px", "motion_px"))
    print(f"window {item}: {step:.1f} px from frame to frame, {motion:.1f} px in all")
