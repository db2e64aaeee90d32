"""What each of two processes does for `test_ranks`: some steps of every golden setting, its half of each batch.

torchrun runs this file; the first process prints the means of the losses, as JSON.
"""

import json
import sys

import golden_curves
import torch

from trainers import distributed, recipe
from trainers.methods import method
from trainers.training import engine

STEPS = 4
SECTION = recipe.Engine(grad_clip_norm=5.0)


def curves() -> dict[str, dict[str, list[float]]]:
    """Every setting's losses, in float64, on whichever images are this process's."""
    found: dict[str, dict[str, list[float]]] = {}
    for setting in golden_curves.SETTINGS:
        trained = golden_curves.prepared(setting)
        engine.prepare(SECTION, trained, torch.device("cpu"))
        seen: dict[str, list[float]] = {}
        for step in range(STEPS):
            torch.manual_seed(step)
            mine = slice(distributed.number(), None, distributed.count())
            batches = [
                method.Batch(batch.blurred_NCHW[mine], batch.sharp_NCHW[mine])
                for batch in golden_curves._batches(trained.batches_per_step, step)
            ]
            for name, term in distributed.mean(trained.step(batches)).items():
                seen.setdefault(name, []).append(float(term))
        found[setting] = seen
    return found | {"spread": spread()}


def spread() -> dict[str, list[float]]:
    """The variance of w * x over all images and its gradient at w, each process with its own x."""
    weight = torch.nn.Parameter(torch.tensor(2.0, dtype=torch.float64))
    scores = (
        weight * torch.tensor([1.0, 3.0, 4.0, 8.0], dtype=torch.float64)[distributed.number() :: distributed.count()]
    )
    loss = (scores - distributed.mean_everywhere(scores.mean())).square().mean()
    torch.autograd.backward(loss)
    distributed.average_gradients([weight])
    assert weight.grad is not None
    return {"loss": [float(distributed.mean({"loss": loss.detach()})["loss"])], "gradient": [float(weight.grad)]}


if __name__ == "__main__":
    torch.set_num_threads(1)
    distributed.start(torch.device("cpu"))
    found = curves()
    if distributed.first():
        sys.stdout.write(json.dumps(found))
    distributed.stop()
    distributed.leave(0)
