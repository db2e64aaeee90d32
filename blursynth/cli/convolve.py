"""`blursynth convolve`."""

from typing import Any

import click

from blursynth.cli import options


@click.command("convolve")
@click.argument("photos", metavar="PHOTOS")
@options.of("convolve")
def command(photos: str, **given: Any) -> None:
    """Blurred/sharp pairs from PHOTOS: a folder, one photo, or scenes:N for N procedural scenes.

    Every pair is blurred by one random PSF, or by a field of them, in linear light; the sharp image is bit-equal to the
    photo's crop and aligned with the blurred one. The blur uses the photo's own pixels around the crop and reflects
    only beyond the photo's edge. Photos that cannot be used are left out and listed. Run the same command again to
    finish an interrupted dataset.

    \b
    Examples:
      blursynth convolve photos/ --size 256 --per-photo 10 --out pairs.zarr
      blursynth convolve scenes:200 --size 256 --length 20:60
      blursynth convolve photos/ --size 256 --preset deblurgan --exposure 0.1,0.5,1
      blursynth convolve photos/ --size 256 --field 4x4 --variation 0:1 --length 10:30
      blursynth convolve photos/ --size 256 --trajectories trajectories.zarr
      blursynth convolve photos/ --size 256 --kernels measured.mat --normalise
      blursynth convolve photos/ --size 256 --length 10:30 --angle 0:180
    """
    options.run("convolve", [photos], given)
