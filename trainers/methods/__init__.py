"""The registry of methods: a name in a recipe, and the class that trains it, imported when needed."""

import importlib
from collections.abc import Mapping
from types import MappingProxyType

from blursynth import errors
from trainers.methods import method

CLASSES: Mapping[str, str] = MappingProxyType(
    {
        "deblurgan": "trainers.methods.deblurgan:DeblurGAN",
        "deep-generative-filter": "trainers.methods.deep_generative_filter:DeepGenerativeFilter",
        "deepdeblur": "trainers.methods.deepdeblur:DeepDeblur",
        "light-deblurgan": "trainers.methods.light_deblurgan:LightDeblurGAN",
        "pix2pix": "trainers.methods.pix2pix:Pix2Pix",
        "resgan": "trainers.methods.resgan:ResGAN",
    }
)
"""Where each method's class is, as "module:class"."""


def find(name: str) -> type[method.Method]:
    """Return the class of a method; its `Config` is the model of the recipe's `[method]` table.

    Raises RecipeError with the nearest known name.
    """
    if name not in CLASSES:
        close = errors.closest(name, CLASSES)
        hint = f"Did you mean {close!r}?" if close else f"Known methods: {', '.join(sorted(CLASSES))}."
        raise errors.RecipeError(f"There is no training method {name!r}. {hint}")
    module, _, attribute = CLASSES[name].partition(":")
    kind: type[method.Method] = getattr(importlib.import_module(module), attribute)
    return kind
