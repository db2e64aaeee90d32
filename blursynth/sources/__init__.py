"""What to blur, in a fixed order: photo folders and procedural scenes."""

import pathlib
import re
from collections.abc import Sequence

from blursynth import errors
from blursynth.sources import photos, scenes, source

SCENES = "scenes:"


def recorded(text: str, listed: Sequence[source.Source], *, seed: int) -> source.Sources:
    """The sources of a dataset that was made from `text` (see `parse`), in the order and state recorded of them.

    Photos are looked for at `text`; raises InputError where there is nothing. Scenes are named by it and made again.
    """
    if text.startswith(SCENES):
        return parse(text, seed=seed)
    return photos.recorded(text, listed)


def parse(
    text: str | pathlib.Path, *, seed: int = 0, size: int = 512, workers: int | None = None
) -> photos.PhotoFolder | scenes.Scenes:
    """The sources that a command line names: `scenes:200`, a folder of photos, or one photo.

    `seed` and `size` (pixels) are for scenes, `workers` (threads that list and hash) for photos; a path that begins
    with `scenes:` is written `./scenes:...`. Raises InputError for anything else, or where nothing can be used.
    """
    name = str(text)
    if not name.startswith(SCENES):
        return photos.scan(text, workers=workers)
    count = name.removeprefix(SCENES)
    if not re.fullmatch("[0-9]{1,9}", count):
        raise errors.InputError(f"{name} does not say how many scenes to make; expected a number, such as scenes:200.")
    return scenes.Scenes(int(count), size, seed)
