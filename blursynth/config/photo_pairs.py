"""What is asked for: one frozen model per way of making data. All lengths are pixels, all light is as stated."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

import pydantic

from blursynth import errors
from blursynth.config import options, ranges, toml
from blursynth.config import realism as realism_config

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
_PRESET = "the preset's"
Exposure = Annotated[ranges.Draw, ranges.within(1e-3, 1.0)]


class Motion(toml.Model):
    """Random camera trajectories (DeblurGAN's Algorithm 1 after Boracchi and Foi); the preset fills what is missing."""

    preset: Preset = options.field(
        "boracchi-foi",
        "Where the parameters below come from: Boracchi and Foi's reference, DeblurGAN's public code (six small "
        "anxieties), or Algorithm 1 as printed (hardly moves; for study).",
    )
    steps: int = options.field(2000, "M: samples of a path.", ge=2, le=100_000)
    length: Annotated[ranges.Draw, ranges.within(0.01, 2000.0)] = options.field(
        "60", "Lmax: arc length of a path in px."
    )
    dynamics: Literal["boracchi-foi", "algorithm-1"] = options.field(..., "How a path is stepped.", key=True)
    anxiety: Annotated[ranges.Draw, ranges.within(0.0, 1.0)] = options.field(
        ..., "p_s: size of the random perturbation; 0 moves along a line.", default=_PRESET
    )
    inertia: Annotated[ranges.Draw, ranges.within(0.0, 10.0)] = options.field(
        ..., "I: pull toward the origin.", default=_PRESET
    )
    impulse: Annotated[ranges.Draw, ranges.within(0.0, 1000.0)] = options.field(
        ..., "p_b: frequency of sudden turns.", default=_PRESET
    )
    gaussian: Annotated[ranges.Draw, ranges.within(0.0, 1000.0)] = options.field(
        ..., "p_g: share of the Gaussian perturbation.", default=_PRESET
    )
    angle: Annotated[ranges.Draw, ranges.within(-360.0, 360.0)] | None = options.field(
        None,
        "Straight motion in this direction: 0 is to the right (x), 90 down (y), so angles grow clockwise as seen. With "
        "--anxiety above 0 it is the direction in which a path begins.",
        metavar="DEGREES",
        default="any direction, of paths that are not straight",
    )

    @pydantic.model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        known = MOTION_PRESETS["boracchi-foi"]  # an unknown preset is one error, not one per value it would fill
        filled = MOTION_PRESETS.get(values.get("preset", "boracchi-foi"), known)
        straight = {} if values.get("angle") is None else {"anxiety": 0}
        return filled | straight | values


class Trajectories(toml.Model):
    """`blursynth trajectories`."""

    n: int = options.field(1000, "How many.", ge=1, le=1_000_000_000)
    motion: Motion = options.field(Motion.model_validate({}), "", inline=True)


def _fractions(value: Any) -> Any:
    """A number, or "0.1,0.5,1", as fractions."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return value
    try:
        return tuple(float(part) for part in str(value).split(","))
    except ValueError:
        raise ValueError("expected fractions of the path such as 0.1,0.5,1") from None


class Psfs(toml.Model):
    """`blursynth psfs`: every path at every exposure; item = path * len(exposures) + exposure."""

    trajectories: str = pydantic.Field(description="Fingerprint of the dataset that the paths come from.")
    n: int = pydantic.Field(ge=1, description="Its paths.")
    exposures: Annotated[
        tuple[Annotated[float, pydantic.Field(gt=0, le=1)], ...], pydantic.BeforeValidator(_fractions)
    ] = options.field((1.0,), "Fractions of the path, each from its start.", metavar="A,B,C", min_length=1)
    size: int = options.field(
        ..., "Side of the square canvas in px.", ge=3, le=4095, default="64; of pairs, what the longest path needs"
    )
    centring: Literal["centroid", "bounding-box"] = options.field(
        "centroid",
        "bounding-box is the public code's: off centre by 2.2 px on average, up to 7.6. For comparison only.",
    )

    @classmethod
    def in_options(cls, table: Mapping[str, Any]) -> Mapping[str, Any]:
        return {key: value for key, value in table.items() if key not in ("trajectories", "n")}


class CameraPsfs(toml.Model):
    """`blursynth psfs` of pairs of a moving camera: a grid of points of light in each image.

    A point's own place is at pixel (size // 2, size // 2).
    """

    pairs: str = pydantic.Field(description="Fingerprint of the dataset of pairs.")
    n: int = pydantic.Field(ge=1, description="Its pairs.")
    rows: int = options.field(..., "Rows of points.", name="grid", ge=1, le=1024)
    columns: int = options.field(..., "Columns of points.", name="grid", ge=1, le=1024)
    size: int = options.field(..., "Side of the square canvas in px.", ge=3, le=4095)

    @classmethod
    def in_options(cls, table: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"grid": f"{table['rows']}x{table['columns']}", "size": table["size"]}


class Splits(toml.Model):
    """Shares of the photos (never of the crops) that go to each split. They add up to 1."""

    train: float = options.field(0.9, "Share for training.", ge=0, le=1)
    val: float = options.field(0.1, "Share for validation.", ge=0, le=1)
    test: float = options.field(0.0, "Share for tests.", ge=0, le=1)

    @pydantic.model_validator(mode="after")
    def _sum_to_one(self) -> "Splits":
        total = self.train + self.val + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"the shares of train, val and test add up to {total:g}, not to 1")
        return self


def shares(said: str | Sequence[str] | Mapping[str, Any]) -> dict[str, Any]:
    """`train=0.8,val=0.2` as a table of `Splits`; a split that is not named gets nothing. Raises RecipeError."""
    if isinstance(said, Mapping):
        return dict.fromkeys(Splits.model_fields, 0.0) | dict(said)
    text = said if isinstance(said, str) else ",".join(map(str, said))
    found: dict[str, float] = {}
    for part in text.split(","):
        name, _, share = part.partition("=")
        try:
            if name.strip() in found:
                raise ValueError("given twice")
            found[name.strip()] = float(share)
        except ValueError:
            raise errors.RecipeError(
                f"--splits {text[:80]} is not understood: give shares such as train=0.8,val=0.1,test=0.1, each once."
            ) from None
    return dict.fromkeys(Splits.model_fields, 0.0) | found


class PhotoPairs(toml.Model):
    """What every command has that makes pairs from photos."""

    BEFORE: ClassVar[Mapping[str, Any]] = {}
    """What recorded recipes mean by keys that they lack because they are older, where that is not the default."""

    size: int | None = options.field(
        None, "Side of the square crop in px.", ge=8, le=16384, default="whole photos, all of one size"
    )
    fit: Literal["crop", "resize"] = options.field(
        "crop", "Cut the crop out of the photo, or scale the whole photo to --size."
    )
    per_photo: int = options.field(1, "Pairs made from each photo.", ge=1, le=2**20)
    transfer: Transfer = options.field(
        "gamma2.2",
        "How the photos' values relate to light; the blur is taken in linear light.",
        default="gamma2.2, and linear with the preset lai of a moving camera",
    )
    splits: Splits = options.field(
        Splits(),
        "Shares of the photos (never of the crops) for train, val and test.",
        metavar="NAME=SHARE,...",
        default="train=0.9,val=0.1",
    )
    realism: realism_config.Realism | None = realism_config.option()

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


class Field(toml.Model):
    """A grid of PSFs across the image, from edge to edge, of paths that belong together.

    At u, the place in the image as a complex number with the centre at 0 and the corners at distance 1, the camera's
    path is b(t) + variation q(t) u, with b and q two random paths of equal length: q's part along u magnifies, the
    other rotates. So paths change linearly across the image, as those of a camera that also rolls and moves forward.
    """

    rows: int = pydantic.Field(ge=1, le=64, description="PSFs from the top edge to the bottom edge.")
    columns: int = pydantic.Field(ge=1, le=64, description="PSFs from the left edge to the right edge.")
    variation: Annotated[ranges.Draw, ranges.within(0.0, 4.0)] = options.field(
        "0.5", "With --field: how far the path of a corner differs from the centre's, in lengths of a path."
    )

    @classmethod
    def in_options(cls, table: Mapping[str, Any]) -> Mapping[str, Any]:
        if not {"rows", "columns"} <= set(table):
            return table
        rest = {key: value for key, value in table.items() if key not in ("rows", "columns")}
        return {"field": f"{table['rows']}x{table['columns']}"} | rest


class Kernels(toml.Model):
    """PSFs that somebody has: measured or computed elsewhere. Each item draws one of them."""

    sha256: str = options.field(
        ...,
        "Take PSFs from this file (.npy, .npz, .mat, .png) or dataset of `psfs`, one drawn for each pair, instead of "
        "random paths. A kernel's centre is its pixel (rows // 2, columns // 2), also where these are even. The file's "
        "SHA-256 or the dataset's fingerprint is recorded.",
        name="kernels",
        metavar="FILE|DATASET",
        default="PSFs of random paths",
    )
    normalise: bool = options.field(
        False, "With --kernels: scale each kernel to the sum 1, instead of refusing one that has another."
    )
    n: int = pydantic.Field(ge=1, description="How many there are.")

    @classmethod
    def in_options(cls, table: Mapping[str, Any]) -> Mapping[str, Any]:
        return {key: value for key, value in table.items() if key != "n"}


class Convolve(PhotoPairs):
    """`blursynth convolve`: photos blurred by one PSF each, or a field of them, in linear light."""

    exposure: Exposure = options.field("1", "Fraction of the path integrated.")
    psf_size: int = options.field(
        ..., "Odd side of the PSF in px.", ge=3, le=4095, default="what the longest path needs"
    )
    store_psf: bool = options.field(True, "Do not store each pair's PSF.", name="no_psf", negated=True)
    trajectories: str | None = options.field(
        None,
        "Take paths from this dataset, in turn, instead of drawing. Its fingerprint is recorded.",
        metavar="DATASET",
    )
    kernels: Kernels | None = options.field(None, "", inline=True)
    motion: Motion | None = options.field(None, "", inline=True)
    field: Field | None = options.field(
        None, "A grid of PSFs across the image, such as 4x4, instead of one.", metavar="GYxGX", inline=True
    )

    @classmethod
    def in_options(cls, table: Mapping[str, Any]) -> Mapping[str, Any]:
        unsaid = {"exposure"} if table.get("kernels") else set()
        return {key: value for key, value in table.items() if key not in unsaid}

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
        if [self.motion, self.trajectories, self.kernels].count(None) != 2:
            raise ValueError(
                "give one of [motion] (a path is drawn per item), trajectories (paths of a dataset) and kernels (PSFs "
                "that you have)"
            )
        if self.field is not None and self.motion is None:
            raise ValueError("a field draws paths that belong together; it takes no trajectories and no kernels")
        return self
