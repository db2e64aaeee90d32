"""What is asked of objects that move by themselves before a moving camera."""

from typing import Annotated, ClassVar, Literal, Self

import pydantic

from blursynth.synthesis import draw, shake_recipe

MOST = 16  # objects that may move in one pair


class Objects(shake_recipe.Shake):
    """`blursynth objects`: objects move over a background that the camera's motion blurs; see `shake_recipe.Shake`.

    objects: from 1 to so many move, drawn. object_path: each slides and turns on a smooth path ("gaussian", see
    object_correlation), or a random trajectory ("boracchi-foi"). object_motion: px that its pivot, the mean of its
    mask, comes along that path. spin: degrees that the unit of its turning stands for. least, greatest: objects move
    that cover this share of the crop's area, whole objects of the whole photo where that is kept or scaled. grow: px
    that masks are grown by, since they are seldom too large. masks_orientation: whether masks lie over the photo as it
    is seen, by its EXIF orientation ("upright"), or over its pixels as they are stored ("stored"); none: their size
    says it.
    """

    ONE_PLANE: ClassVar[bool] = False
    objects: int = pydantic.Field(default=3, ge=1, le=MOST)
    object_path: Literal["gaussian", "boracchi-foi"] = "gaussian"
    object_correlation: Annotated[draw.Draw, draw.within(0.01, 100.0)] = pydantic.Field(
        default="0.5:3", validate_default=True
    )
    object_motion: Annotated[draw.Draw, draw.within(0.0, 2000.0)] = pydantic.Field(
        default="5:40", validate_default=True
    )
    spin: Annotated[draw.Draw, draw.within(0.0, 90.0)] = pydantic.Field(default="0:2", validate_default=True)
    least: float = pydantic.Field(default=0.005, ge=0, le=1)
    greatest: float = pydantic.Field(default=0.6, ge=0, le=4)
    grow: int = pydantic.Field(default=2, ge=0, le=64)
    masks_orientation: Literal["upright", "stored"] | None = None

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
