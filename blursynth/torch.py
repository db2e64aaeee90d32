"""Datasets, streams and motion blur for PyTorch. The one module of the package that imports torch.

Legend of tensor names: N images, C channels (R, G, B), H rows, W columns. Images are encoded values (what image files
hold), uint8 from 0 to 255 or float32 from 0 to 1.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
import torch.utils.data

import blursynth
from blursynth import errors
from blursynth.config import commands
from blursynth.loading import patches, stream
from blursynth.makers import convolve
from blursynth.storage import reader
from blursynth.synthesis import convolve_pair

__all__ = ["MotionBlur", "Pairs", "Stream"]

Item = dict[str, torch.Tensor]
Form = Literal["float32", "uint8"]


class Pairs(torch.utils.data.Dataset[Item]):
    """The pairs of a dataset, or the photos of a stream, as a map-style dataset for `torch.utils.data.DataLoader`.

    Each item is a dict of tensors: `blurred` and `sharp` (C, H, W), and the arrays and columns that were named.
    Batches are read in one call (`__getitems__`). Worker processes of a DataLoader have to be spawned:
    `multiprocessing_context="spawn"`.

    Parameters
    ----------
    dataset
        A path, a dataset of `blursynth.open`, or a stream of `blursynth.stream`. Of a stream, item k is the pair of the
        k-th photo of the split in the pass `epoch`.
    split
        "train", "val", "test", or None for all items.
    arrays
        Further arrays and columns to read, such as "psf" or "length", as they are stored.
    form
        "float32": images from 0 to 1; "uint8": as they are stored.
    transform
        Called with each item, a dict; its result is what indexing gives.
    epoch
        Of a stream: which pair of each photo is made.

    Raises
    ------
    DatasetError
        There is no dataset of pairs, or it has no items in the split or no such array.

    Examples
    --------
    >>> import blursynth as bs, blursynth.torch
    >>> pairs = blursynth.torch.Pairs(bs.stream("light-blur", "scenes:8"), arrays=["psf"])  # doctest: +SKIP
    """

    def __init__(
        self,
        dataset: str | reader.Dataset | stream.Stream,
        split: str | None = "train",
        *,
        arrays: Sequence[str] = (),
        form: Form = "float32",
        transform: Callable[[Item], Any] | None = None,
        epoch: int = 0,
    ) -> None:
        self.dataset = blursynth.open(dataset) if isinstance(dataset, str) else dataset
        if self.dataset.kind != "pairs":
            raise errors.DatasetError(f"{self.dataset.path} holds {self.dataset.kind}; expected pairs of images.")
        _require_form(form)
        self.names = (*stream.IMAGES, *arrays)
        for name in self.names:
            self.dataset.shape_of(name)  # raises DatasetError where there is none
        self.form: Form = form
        self.transform = transform
        members = _members(self.dataset, split)
        if isinstance(self.dataset, stream.Stream):
            self._items = self.dataset.items_at(members, np.arange(len(members)), np.full(len(members), epoch), 1)
        else:
            self._items = members

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Any:
        return self.__getitems__([range(len(self))[index]])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """Return several items, read or made together."""
        numbers = self._items[np.asarray(indices, np.int64)]
        if isinstance(self.dataset, stream.Stream):
            made, _ = self.dataset.replaced(numbers)
            values: Mapping[str, Any] = {name: made[name] for name in self.names}
        else:
            values = {name: self._stored(self.dataset, name, numbers) for name in self.names}
        tensors = {name: _tensor(name, each, self.form) for name, each in values.items()}
        items = [{name: each[k] for name, each in tensors.items()} for k in range(len(numbers))]
        return items if self.transform is None else [self.transform(item) for item in items]

    @staticmethod
    def _stored(dataset: reader.Dataset, name: str, numbers: Any) -> Any:
        return dataset.columns[name][numbers] if name in dataset.columns else dataset.read(name, numbers)


class Stream(torch.utils.data.IterableDataset[Item]):
    """Shuffled batches of a stream or of datasets, epoch after epoch, without end to the supply of pairs.

    Each iteration is the next epoch. A batch is a dict of tensors: `blurred` and `sharp` (N, C, H, W), and int64 (N,)
    `item`, `part`, `position`, `top` and `left`. Batches are made ahead by threads of this process, so no DataLoader is
    needed; `DataLoader(stream, batch_size=None, num_workers=2, multiprocessing_context="spawn")` works too, its workers
    share each epoch, and `set_epoch` has to be called before each. Ranks of torch.distributed share each epoch.

    Parameters
    ----------
    parts
        A stream of `blursynth.stream`, of which the training split is used; or parts as `blursynth.Patches` takes them.
    batch
        Pairs in a batch, of each process.
    crop
        Side, or height and width, in px, of a window at a random place of each pair; None for whole pairs.
    seed
        Of the order and the windows; the stream's own seed unless given.
    form
        "float32": images from 0 to 1; "uint8": as they are made.
    repeat
        How many pairs of each photo an epoch has, where `parts` is a stream.
    whole
        Leave out the last pairs of an epoch that do not fill a batch on every rank.

    Examples
    --------
    >>> import blursynth as bs
    >>> from blursynth.torch import Stream
    >>> flow = bs.stream("recipe.toml", "photos/")  # doctest: +SKIP
    >>> for batch in Stream(flow, batch=16):  # doctest: +SKIP
    ...     loss = network(batch["blurred"]).sub(batch["sharp"]).abs().mean()
    """

    def __init__(
        self,
        parts: stream.Stream | Sequence[patches.Part],
        batch: int,
        *,
        crop: int | tuple[int, int] | None = None,
        seed: int | None = None,
        form: Form = "float32",
        repeat: int = 1,
        whole: bool = False,
    ) -> None:
        _require_form(form)
        if isinstance(parts, stream.Stream):
            seed = parts.seed if seed is None else seed
            parts = [parts.part(repeat=repeat)]
        elif repeat != 1:
            raise errors.InputError("repeat is for one stream; give each part its own: Part(..., repeat=...).")
        window = (crop, crop) if isinstance(crop, int) else crop
        self.patches = patches.Patches(parts, stream.IMAGES, seed or 0, window)
        self.batch = batch
        self.form: Form = form
        self.whole = whole
        self.epoch = 0
        """The epoch that the next iteration gives."""
        self._given = 0

    def __len__(self) -> int:
        """Return the batches of an epoch on this rank, in one process."""
        return len(self._batches(*_rank()))

    def set_epoch(self, epoch: int) -> None:
        """Begin with the first batch of an epoch at the next iteration."""
        self.epoch, self._given = epoch, 0

    def state_dict(self) -> dict[str, int]:
        """Return where the iteration stands, for `load_state_dict`."""
        return {"epoch": self.epoch, "batches": self._given}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on after the last batch that had been given when the state was taken."""
        self.epoch, self._given = state["epoch"], state["batches"]

    def __iter__(self) -> Iterator[Item]:
        rank, ranks = _rank()
        worker = torch.utils.data.get_worker_info()
        if worker is not None:
            rank, ranks = rank * worker.num_workers + worker.id, ranks * worker.num_workers
        for images in self._batches(rank, ranks, self._given):
            self._given += 1
            yield {name: _tensor(name, values, self.form) for name, values in images.items()}
        self.set_epoch(self.epoch + 1)

    def _batches(self, rank: int, ranks: int, start: int = 0) -> patches.Batches:
        return patches.Batches(
            self.patches, self.batch, epoch=self.epoch, start=start, rank=rank, ranks=ranks, whole=self.whole
        )


class MotionBlur(torch.nn.Module):
    """Random motion blur of whole images in linear intensity, for use among `torchvision.transforms.v2` transforms.

    Every image of a batch gets a PSF of its own. What is drawn follows from torch's random state (`torch.manual_seed`).
    Images are computed in 8 bits on the CPU and returned with the dtype and device that they had.

    Parameters
    ----------
    p
        Probability that an image is blurred.
    **options
        Options of `blursynth convolve`: length="10:30", exposure, preset, field="4x4", realism="rsblur",
        transfer, ... (without size: images are blurred whole).

    Raises
    ------
    RecipeError
        An option is unknown or out of range.
    InputError
        An input is no image: uint8, or floats from 0 to 1, of shape (..., C, H, W) with 1 or 3 channels.

    Examples
    --------
    >>> blur = MotionBlur(length="5:15")
    >>> image = torch.rand(2, 3, 64, 64)
    >>> blur(image).shape
    torch.Size([2, 3, 64, 64])
    """

    def __init__(self, p: float = 1.0, **options: Any) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise errors.RecipeError(f"p is {p}; expected a probability from 0 to 1.")
        for name in ("size", "fit", "per_photo", "trajectories", "kernels", "splits"):
            if options.get(name) is not None:
                raise errors.RecipeError(f"{name} is of datasets; MotionBlur blurs the images that it is given whole.")
        self.p = p
        self.options = dict(options)
        known = commands.COMMANDS["convolve"]
        unknown = sorted(set(options) - set(known.keys))
        if unknown:
            raise errors.RecipeError(f"MotionBlur has no option {unknown[0]}; it has {', '.join(known.keys)}.")
        self._config = convolve.request(known.resolved(options))

    def extra_repr(self) -> str:
        """Return the options, for the module's repr."""
        return ", ".join(f"{name}={value!r}" for name, value in {"p": self.p, **self.options}.items())

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Blur an image or a batch of them, (..., C, H, W)."""
        _require_image(image)
        flat = image.detach().cpu().reshape(-1, *image.shape[-3:])
        codes = flat if flat.dtype == torch.uint8 else (flat * 255).round().to(torch.uint8)
        blurred = flat.clone()
        for k, one_CHW in enumerate(codes):
            item, chance = int(torch.randint(2**62, ())), float(torch.rand(()))
            if chance < self.p:
                photo_HWC = np.ascontiguousarray(one_CHW.expand(3, -1, -1).permute(1, 2, 0).numpy())
                made = convolve_pair.make(photo_HWC, self._config, item=item).blurred
                result = torch.from_numpy(made).permute(2, 0, 1)[: one_CHW.shape[0]]
                blurred[k] = result if flat.dtype == torch.uint8 else result.to(flat.dtype) / 255
        return blurred.reshape(image.shape).to(image.device)


def _require_image(image: torch.Tensor) -> None:
    if not isinstance(image, torch.Tensor) or image.ndim < 3 or image.shape[-3] not in (1, 3):
        shape = tuple(image.shape) if isinstance(image, torch.Tensor) else type(image).__name__
        raise errors.InputError(f"MotionBlur was given {shape}; expected a tensor (..., C, H, W) with 1 or 3 channels.")
    if image.dtype != torch.uint8 and not image.is_floating_point():
        raise errors.InputError(f"MotionBlur was given {image.dtype}; expected uint8, or floats from 0 to 1.")
    if image.is_floating_point() and image.numel() and not (image.min() >= 0 and image.max() <= 1):
        raise errors.InputError(
            f"MotionBlur was given values from {float(image.min()):g} to {float(image.max()):g}; floats are encoded "
            "values from 0 to 1. Blur before normalising."
        )


def _members(dataset: reader.Dataset | stream.Stream, split: str | None) -> Any:
    every = len(dataset.sources) if isinstance(dataset, stream.Stream) else len(dataset)
    members = np.arange(every, dtype=np.int64) if split is None else dataset.in_split(split)
    if not len(members):
        raise errors.DatasetError(
            f"{dataset.path} has nothing in the split {split!r}; its splits are {', '.join(dataset.splits)}."
        )
    return members


def _tensor(name: str, values: Any, form: Form) -> torch.Tensor:
    """Images as (N, C, H, W) in the form asked for; everything else as it is."""
    tensor = torch.from_numpy(np.array(values))
    if name not in stream.IMAGES:
        return tensor
    images_NCHW = tensor.permute(0, 3, 1, 2)
    return images_NCHW.contiguous() if form == "uint8" else images_NCHW.float().div_(255).contiguous()


def _require_form(form: str) -> None:
    if form not in ("float32", "uint8"):
        raise errors.InputError(f"form is {form!r}; expected float32 (from 0 to 1) or uint8.")


def _rank() -> tuple[int, int]:
    """Return this process's rank and their number in torch.distributed; 0 of 1 without it."""
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1
