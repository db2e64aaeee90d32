"""Bytes that makers of pairs take, beside what they plan for: JSON of a list of [kind, planned, taken].

A process of its own, which traces memory from its first moment: tracing cannot be begun safely beside other threads.
"""

import json
import pathlib
import sys
import tracemalloc
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import mask_files

from blursynth.makers import convolve, objects, shake

HEIGHT, WIDTH = 300, 400


def kinds(folder: pathlib.Path) -> Mapping[str, tuple[Any, dict[str, Any]]]:
    """Commands and their options, for one whole photo."""
    (folder / "photos").mkdir()
    (folder / "depth").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "photos" / "a.png")
    floor = np.repeat(np.linspace(10, 1, HEIGHT, dtype=np.float32)[:, None], WIDTH, axis=1)
    np.save(folder / "depth" / "a.npy", floor)
    masks = mask_files.instances(folder / "masks.json", {"a.png": (HEIGHT, WIDTH)})
    real = {"realism": ["rsblur", "jpeg=90"], "transfer": "srgb"}
    shaken = {"motion": 20}
    return {
        "convolve": (convolve, {}),
        "convolve with a field": (convolve, {"field": "3x3"}),
        "convolve with realism": (convolve, real),
        "convolve with a field and realism": (convolve, {"field": "3x3", **real}),
        "shake": (shake, shaken),
        "shake with realism": (shake, shaken | real),
        "shake at depths": (shake, shaken | {"depth": str(folder / "depth"), **real}),
        "objects": (objects, shaken | {"masks": str(masks), "object_motion": 30}),
        "objects with realism": (objects, shaken | {"masks": str(masks), "object_motion": 30, **real}),
    }


def main() -> None:
    folder = pathlib.Path(sys.argv[1])
    found = []
    for kind, (command, options) in kinds(folder).items():
        for items in (1, 3):
            maker = command.maker(str(folder / "photos"), {"seed": 0, "per_photo": 3, **options})
            maker.make(range(items))  # compiles and imports
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            maker.make(range(items))
            found.append([kind, maker.peak_bytes(items), tracemalloc.get_traced_memory()[1] - before])
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
