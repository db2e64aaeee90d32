"""What is asked of objects that move by themselves before a moving camera."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

import pydantic

from blursynth.config import options, ranges, shake

MOST = 16  # objects that may move in one pair


class Objects(shake.Shake):
    """`blursynth objects`: objects move over a background that the camera's motion blurs.

    Objects move that cover a share of the crop's area between least and greatest, whole objects of the whole photo
    where that is kept or scaled.
    """

    ONE_PLANE: ClassVar[bool] = False
    depth: shake.Depth | None = options.field(
        None, "Distance of the plane that the photo shows.", metavar="METRES", default="the preset's"
    )
    depth_maps: shake.DepthMaps | None = None
    objects: int = options.field(3, "From 1 to so many objects move in a pair.", ge=1, le=MOST)
    object_path: Literal["gaussian", "boracchi-foi"] = options.field(
        "gaussian", "How an object slides and turns: smoothly, or on a random trajectory."
    )
    object_correlation: Annotated[ranges.Draw, ranges.within(0.01, 100.0)] = options.field(
        "0.5:3", "Of a gaussian path, in exposures; 10 and more is nearly a straight line."
    )
    object_motion: Annotated[ranges.Draw, ranges.within(0.0, 2000.0)] = options.field(
        "5:40", "How far an object's pivot, the mean of its mask, comes by itself.", metavar="PX"
    )
    spin: Annotated[ranges.Draw, ranges.within(0.0, 90.0)] = options.field(
        "0:2", "What the unit of its turning stands for.", metavar="DEGREES"
    )
    least: float = options.field(
        0.005, "Objects that cover less of the crop's area stay still.", metavar="SHARE", ge=0, le=1
    )
    greatest: float = options.field(0.6, "So do those that would cover more.", metavar="SHARE", ge=0, le=4)
    grow: int = options.field(2, "Grow masks by so much, since they are seldom too large.", metavar="PX", ge=0, le=64)
    masks_orientation: Literal["upright", "stored"] | None = options.field(
        None,
        "Whether masks lie over photos as they are seen, by their EXIF orientation, or over the pixels as they are "
        "stored.",
        default="what their size says; photos where it says nothing are left out",
    )

    @classmethod
    def in_options(cls, table: Mapping[str, Any]) -> Mapping[str, Any]:
        unsaid = "object_correlation" if table["object_path"] == "boracchi-foi" else ""
        return {key: value for key, value in super().in_options(table).items() if key != unsaid}

    @pydantic.model_validator(mode="after")
    def _of_one_depth(self) -> Self:
        if self.depth_maps is not None:
            raise ValueError("objects move before one plane; give depth in metres instead of depth maps")
        if self.least >= self.greatest:
            raise ValueError(f"least ({self.least:g}) has to be below greatest ({self.greatest:g})")
        if self.size is not None and self.object_motion.maximum > self.size:
            raise ValueError(
                f"object_motion of {self.object_motion.maximum:g} px would move objects out of a crop of {self.size} px"
            )
        return self
