"""Feed a training loop of your own with shuffled crops: `python examples/torch_batches.py [DATASET]`."""

import subprocess
import sys

import torch

import blursynth

dataset = sys.argv[1] if len(sys.argv) > 1 else "example-train.zarr"
if len(sys.argv) == 1:
    command = ["convolve", "scenes:8", "--size", "96", "--per-photo", "4", "--length", "5:15", "--out", dataset]
    subprocess.run([sys.executable, "-m", "blursynth", *command], check=True)

pairs = blursynth.open(dataset)
part = blursynth.Part(pairs, pairs.in_split("train"))
patches = blursynth.Patches([part], ["blurred", "sharp"], seed=0, crop=(64, 64))

torch.manual_seed(0)
network = torch.nn.Sequential(
    torch.nn.Conv2d(3, 16, 5, padding=2), torch.nn.ReLU(), torch.nn.Conv2d(16, 3, 5, padding=2)
)
optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
for epoch in range(3):
    losses = []
    for batch in blursynth.Batches(patches, 4, epoch=epoch):
        blurred, sharp = (
            torch.from_numpy(batch[name]).permute(0, 3, 1, 2).float() / 255 for name in ("blurred", "sharp")
        )
        loss = torch.nn.functional.mse_loss(blurred + network(blurred), sharp)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    print(f"epoch {epoch}: mean squared error {sum(losses) / len(losses):.5f}")
