"""What is asked for: one frozen model per way of making data. All lengths are pixels, all light is as stated."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

import pydantic

from blursynth import recipe_file
from blursynth.synthesis import draw, realism_recipe

# What the public sources agree and disagree on. `boracchi-foi`: Boracchi and Foi's MATLAB reference (the model of
# Boracchi and Foi 2012). `deblurgan`: DeblurGAN's public code, whose batch script draws one of six anxieties.
# `algorithm-1`: Kupyn et al. 2018, Algorithm 1 as printed; half of its steps reverse, so it hardly moves. Study only.
MOTION_PRESETS: dict[str, dict[str, Any]] = {
    "boracchi-foi": {
        "dynamics": "boracchi-foi",
        "anxiety": "0:0.1",
        "inertia": "0:0.7",
        "impulse": "0:0.2",
        "gaussian": "0:10",
    },
    "deblurgan": {
        "dynamics": "boracchi-foi",
        "anxiety": "0.003,0.005,0.007,0.008,0.009,0.01",
        "inertia": "0:0.7",
        "impulse": "0:0.2",
        "gaussian": "0:10",
    },
    "algorithm-1": {
        "dynamics": "algorithm-1",
        "anxiety": 0.001,
        "inertia": "0:0.7",
        "impulse": "0:0.2",
        "gaussian": "0:0.7",
    },
}

Preset = Literal["boracchi-foi", "deblurgan", "algorithm-1"]
Transfer = Literal["gamma2.2", "srgb", "linear"]
Exposure = Annotated[draw.Draw, draw.within(1e-3, 1.0)]


class Motion(recipe_file.Model):
    """Random camera trajectories (DeblurGAN's Algorithm 1 after Boracchi and Foi). The preset fills what is not given.

    steps: M, samples of a path. length: Lmax, arc length of a path in px. anxiety: p_s, size of the random
    perturbation. inertia: I, pull toward the origin. impulse: p_b, frequency of sudden turns. gaussian: p_g, share of
    the Gaussian perturbation.
    """

    preset: Preset = "boracchi-foi"
    steps: int = pydantic.Field(default=2000, ge=2, le=100_000)
    length: Annotated[draw.Draw, draw.within(0.01, 2000.0)] = pydantic.Field(default="60", validate_default=True)
    dynamics: Literal["boracchi-foi", "algorithm-1"]
    anxiety: Annotated[draw.Draw, draw.within(0.0, 1.0)]
    inertia: Annotated[draw.Draw, draw.within(0.0, 10.0)]
    impulse: Annotated[draw.Draw, draw.within(0.0, 1000.0)]
    gaussian: Annotated[draw.Draw, draw.within(0.0, 1000.0)]

    @pydantic.model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        known = MOTION_PRESETS["boracchi-foi"]  # an unknown preset is one error, not one per value it would fill
        return MOTION_PRESETS.get(values.get("preset", "boracchi-foi"), known) | values


class Trajectories(recipe_file.Model):
    """`blursynth trajectories`: n paths."""

    n: int = pydantic.Field(ge=1, le=1_000_000_000)
    motion: Motion = Motion.model_validate({})


class Psfs(recipe_file.Model):
    """`blursynth psfs`: every path at every exposure; item = path * len(exposures) + exposure.

    trajectories: fingerprint of the dataset that the paths come from. exposures: fractions of the path, each
    integrated from its start. size: side of the square canvas in px.
    """

    trajectories: str
    n: int = pydantic.Field(ge=1)
    exposures: tuple[Annotated[float, pydantic.Field(gt=0, le=1)], ...] = pydantic.Field(default=(1.0,), min_length=1)
    size: int = pydantic.Field(ge=3, le=4095)
    centring: Literal["centroid", "bounding-box"] = "centroid"


class CameraPsfs(recipe_file.Model):
    """`blursynth psfs` of pairs of a moving camera: a grid of points of light in each image.

    pairs: fingerprint of the dataset of n pairs. size: side of the square canvas in px; the point's own place is at
    pixel (size // 2, size // 2).
    """

    pairs: str
    n: int = pydantic.Field(ge=1)
    rows: int = pydantic.Field(ge=1, le=1024)
    columns: int = pydantic.Field(ge=1, le=1024)
    size: int = pydantic.Field(ge=3, le=4095)


class Splits(recipe_file.Model):
    """Shares of the photos (never of the crops) that go to each split. They add up to 1."""

    train: float = pydantic.Field(default=0.9, ge=0, le=1)
    val: float = pydantic.Field(default=0.1, ge=0, le=1)
    test: float = pydantic.Field(default=0.0, ge=0, le=1)

    @pydantic.model_validator(mode="after")
    def _sum_to_one(self) -> "Splits":
        total = self.train + self.val + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"the shares of train, val and test add up to {total:g}, not to 1")
        return self


class PhotoPairs(recipe_file.Model):
    """What every command says that makes pairs from photos.

    size: side of the square crop in px; none keeps whole photos, which then must all have one size. fit: "crop" cuts
    it out of the photo, "resize" scales the whole photo to it. transfer: how the photos' codes relate to linear
    light. realism: what becomes of blurred light in a camera.
    """

    BEFORE: ClassVar[Mapping[str, Any]] = {}
    """What recorded recipes mean by keys that they lack because they are older, where that is not the default."""

    size: int | None = pydantic.Field(default=None, ge=8, le=16384)
    fit: Literal["crop", "resize"] = "crop"
    per_photo: int = pydantic.Field(default=1, ge=1, le=1_000_000)
    transfer: Transfer = "gamma2.2"
    splits: Splits = Splits()
    realism: realism_recipe.Realism | None = None

    def too_small(self, height: int, width: int) -> str | None:
        """Why a photo of this size cannot be used, as it stands after the photo's name; None where it can."""
        if self.fit == "crop" and self.size is not None and min(height, width) < self.size:
            return f"{width}x{height} px is smaller than the crop of {self.size}x{self.size}"
        return None

    @pydantic.model_validator(mode="after")
    def _resized_to_something(self) -> Self:
        if self.fit == "resize" and self.size is None:
            raise ValueError("a photo that is resized (fit) needs a size to scale it to")
        return self


class Field(recipe_file.Model):
    """A grid of PSFs across the image, from edge to edge, of paths that belong together.

    At u, the place in the image as a complex number with the centre at 0 and the corners at distance 1, the camera's
    path is b(t) + variation q(t) u, with b and q two random paths of equal length: q's part along u magnifies, the
    other rotates. So paths change linearly across the image, as those of a camera that also rolls and moves forward.
    """

    rows: int = pydantic.Field(ge=1, le=64)
    columns: int = pydantic.Field(ge=1, le=64)
    variation: Annotated[draw.Draw, draw.within(0.0, 4.0)] = pydantic.Field(default="0.5", validate_default=True)


class Convolve(PhotoPairs):
    """`blursynth convolve`: photos blurred by one PSF each, or a field of them, in linear light.

    exposure: fraction of the path that is integrated. psf_size: odd side of a PSF in px.
    trajectories: fingerprint of the dataset that paths are taken from in turn; none draws a path per item.
    """

    exposure: Exposure = pydantic.Field(default="1", validate_default=True)
    psf_size: int = pydantic.Field(ge=3, le=4095)
    store_psf: bool = True
    trajectories: str | None = None
    motion: Motion | None = None
    field: Field | None = None

    def too_small(self, height: int, width: int) -> str | None:
        reason = super().too_small(height, width)
        if self.fit == "resize" and self.size is not None:
            height, width = self.size, self.size
        if reason is None and min(height, width) < self.psf_size:
            return f"{width}x{height} px is smaller than the PSF of {self.psf_size}x{self.psf_size}; draw shorter paths"
        return reason

    @pydantic.field_validator("psf_size")
    @classmethod
    def _odd(cls, size: int) -> int:
        if size % 2 == 0:
            raise ValueError("the side is odd, so that the PSF has a centre pixel")
        return size

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.motion is None) == (self.trajectories is None):
            raise ValueError("give either [motion] (a path is drawn per item) or trajectories (paths from a dataset)")
        if self.field is not None and self.motion is None:
            raise ValueError("a field draws paths that belong together; it takes none from a dataset of trajectories")
        return self
