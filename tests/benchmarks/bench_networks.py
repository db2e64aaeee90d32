"""Every method's restoring network as its paper has it: size, work, memory, and time for an image, beside DeblurGAN's.

Run as `python tests/benchmarks/bench_networks.py [--size 720x1280] [--device cuda] [--bfloat16]`; random weights, which
cost what trained ones cost. The time is the best of several.
"""

import argparse
import contextlib
import time

import torch
from torch.utils import flop_counter

from blursynth.config import toml
from trainers import methods
from trainers.inference import tiles
from trainers.methods import method
from trainers.networks import layers

SETTINGS = {
    "DeblurGAN": {"name": "deblurgan"},
    "DeblurGAN, release": {"name": "deblurgan", "variant": "release"},
    "DeepDeblur, K = 3": {"name": "deepdeblur"},
    "Deep Generative Filter": {"name": "deep-generative-filter"},
    "light model": {"name": "light-deblurgan"},
    "pix2pix": {"name": "pix2pix"},
    "ResGAN": {"name": "resgan"},
}


def build(table: dict[str, str], device: torch.device) -> method.Method:
    kind = methods.find(table["name"])
    torch.manual_seed(0)
    return kind(kind.for_restoring(toml.build(table, kind.Config)), device)


def seconds(trained: method.Method, blurred: torch.Tensor, times: int) -> float:
    best = float("inf")
    for _ in range(times + 1):  # the first warms up
        start = time.perf_counter()
        trained.restore(blurred)
        if blurred.device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return best


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", default="256x256", help="HEIGHTxWIDTH")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--bfloat16", action="store_true")
    parser.add_argument("--times", type=int, default=3)
    asked = parser.parse_args()
    height, width = (int(side) for side in asked.size.split("x"))
    device = torch.device(asked.device)
    blurred = torch.rand(1, 3, height, width, device=device)
    reduced = torch.autocast(device.type, torch.bfloat16) if asked.bfloat16 else contextlib.nullcontext()
    baseline = None
    precision = "bfloat16" if asked.bfloat16 else "float32"
    print(f"{width}x{height} on {device}, {torch.get_num_threads()} threads, {precision}")
    print(
        f"{'network':24} {'parameters':>12} {'MiB':>7} {'GFLOP':>8} {'bytes/px':>9} {'s/image':>9} {'DeblurGAN=1':>12}"
    )
    for name, table in SETTINGS.items():
        trained = build(table, device)
        size = layers.size(trained.networks["generator"]).parameters
        # What the U-Net's 256 pixels and more need does not grow with the image's pixels.
        per_pixel = f"{tiles.bytes_per_pixel(trained, device):.0f}" if trained.tileable else "-"
        with flop_counter.FlopCounterMode(display=False) as counter:
            trained.restore(blurred)
        with reduced:
            taken = seconds(trained, blurred, asked.times)
        baseline = baseline or taken
        print(
            f"{name:24} {size:12,} {4 * size / 2**20:7.2f} {counter.get_total_flops() / 1e9:8.1f} {per_pixel:>9} "
            f"{taken:9.3f} {taken / baseline:12.2f}"
        )


if __name__ == "__main__":
    main()
