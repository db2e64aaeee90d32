"""What is asked for when pairs that are there already become a dataset."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

import pydantic

from blursynth.config import options, toml

Layout = Literal["gopro", "flat", "webdataset", "kohler", "lai"]
LAYOUTS: tuple[str, ...] = get_args(Layout)


class Import(toml.Model):
    """`blursynth import`: pairs as they are."""

    layout: Layout = pydantic.Field(description="Whose.")
    transfer: Literal["gamma2.2", "srgb", "linear", "table", "unknown"] = options.field(
        ...,
        "How codes relate to light, where names do not say; linear: codes were averaged as they are.",
        unsaid=("table",),
        default="what names or an export's own record say",
    )
    response: tuple[float, ...] | None = pydantic.Field(
        None, description='The light of each 8-bit code for transfer "table", which only exports of ours can say.'
    )
    blurred: str | None = options.field(
        None, "Folder (anywhere on the way; or tar field) of blurred images; lai: kernel or gyro.", metavar="NAME"
    )
    sharp: str | None = options.field(
        None, "Folder (anywhere on the way; or tar field) of sharp images.", metavar="NAME"
    )
    split: Literal["train", "val", "test"] | None = options.field(None, "Of all pairs, where names do not say.")
    size: int | None = options.field(
        None, "Side of square crops in px.", ge=8, le=16384, default="whole images, all of one size"
    )
    per_pair: int = options.field(1, "Random crops of each pair.", metavar="N", ge=1, le=1_000_000)
    partial: bool = options.field(False, "Take a set that is not as it was published: a part of it, other sizes.")

    @classmethod
    def in_options(cls, table: Mapping[str, Any]) -> Mapping[str, Any]:
        return {key: value for key, value in table.items() if key not in ("layout", "response")}

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> "Import":
        if (self.response is not None) != (self.transfer == "table"):
            raise ValueError('transfer = "table" and a response table go together')
        if self.per_pair > 1 and self.size is None:
            raise ValueError("several crops of a pair need a size")
        return self
