"""A short run of each method, and what the other verbs leave of one: recipes and commands."""

import torch

PAIRS = """
blursynth convolve scenes:6 --size 32 --per-photo 2 --steps 200 --length 4:12 --no-psf --splits train=0.6,val=0.4 \
    --shard-length 4 --out data/pairs.zarr
blursynth convolve scenes:3 --size 24 --steps 200 --length 4:12 --no-psf --splits train=1 --seed 9 --out data/more.zarr
"""
KEPT = 2
"""Steps after which the kept runs were stopped; undisturbed ones have twice as many."""

COMMON = """
name = "{name}"
seed = 3

[data]
train = [{train}]
batch = {batch}
crop = 16
flip_horizontal = true
{data}

[method]
{method}

[schedule]
clock = "images"
flat = {half}
linear = {half}

[validation]
every = {half}
images = 2

[output]
log_every = {batch}
checkpoint_every = {half}
keep_every = {half}
sheet = 0
"""
FEATURES = '[method.perceptual]\nweights = "random"\ntap = "conv1_2"\n'
SMALL = "[method.discriminator]\nwidth = 2\n"
DEBLURGAN = "width = 2\nblocks = 1\ndropout = 0.1\nlearning_rate = 1e-3\n"
METHODS = {
    "deblurgan": f'name = "deblurgan"\n{DEBLURGAN}[method.critic]\nwidth = 2\nsteps = 2\n{FEATURES}',
    "deblurgan-release": f'name = "deblurgan"\nvariant = "release"\n{DEBLURGAN}[method.critic]\nwidth = 2\n{FEATURES}',
    "pixel-loss": f'name = "deblurgan"\n{DEBLURGAN.replace("0.1", "0.0")}norm = "none"\ninitialisation = "he"\n'
    "content_weight = 0.0\nadversarial_weight = 0.0\npixel_weight = 1.0\n",
    "averaged": f'name = "deblurgan"\n{DEBLURGAN}content_weight = 0.0\nadversarial_weight = 0.0\npixel_weight = 1.0\n',
    "deepdeblur": 'name = "deepdeblur"\nwidth = 3\nblocks = 1\nlearning_rate = 1e-3\n'
    "[method.discriminator]\nwidth = 2\nstrides = [2, 2, 2]\n",
    "deepdeblur-release": 'name = "deepdeblur"\nvariant = "release"\nwidth = 3\nblocks = 1\nlearning_rate = 1e-3\n',
    "deep-generative-filter": 'name = "deep-generative-filter"\nrate = 2\nblocks = 4\ndropout = 0.1\n'
    f"learning_rate = 1e-3\n[method.discriminator]\nwidth = 2\nstrides = [1, 2, 1]\n{FEATURES}",
    "light-deblurgan": 'name = "light-deblurgan"\nwidth = 4\nblocks = 1\nratio = 2\ndropout = 0.1\n'
    f"learning_rate = 1e-3\n{SMALL}{FEATURES}",
    "pix2pix": f'name = "pix2pix"\nwidth = 2\nlevels = 3\ndropout = 0.1\nlearning_rate = 1e-3\n{SMALL}',
    "resgan": 'name = "resgan"\nwidth = 4\nblocks = 1\nlearning_rate = 1e-3\n'
    f"[method.discriminator]\nwidth = 2\nstrides = [1, 2, 1]\n{FEATURES}",
}
OPTIONS = {
    "averaged": "flip_vertical = true\nrotate = true\npermute_channels = true\nsaturation = [0.5, 1.5]\nnoise = 2.0\n"
    "[engine]\naccumulate = 2\nclip = 1.0\naverage = 0.9\nchannels_last = true\n",
    "deepdeblur-release": '[engine]\nprecision = "bfloat16"\n[guard]\nafter = 1\n',
}
"""Settings beside those of the method, by run."""
TWO_SETS = "resgan"
"""The run that trains on two datasets."""

FINISHED = "pixel-loss"
"""The run that is kept as it ended, for the verbs that need one."""


def recipe(name: str) -> str:
    """A run's recipe as TOML."""
    batch = 2
    train = '{ path = "data/pairs.zarr", weight = 2.0 }'
    if name == TWO_SETS:
        train += ', { path = "data/more.zarr" }'
    more = OPTIONS.get(name, "")
    return COMMON.format(name=name, train=train, batch=batch, half=batch * KEPT, data=more, method=METHODS[name])


def train(name: str) -> str:
    """The command of a run."""
    return f"trainers.run inputs/{name}.toml --out runs/{name} --device cpu --threads 1"


RUNS = "\n".join(train(name) for name in METHODS)
COMMANDS = f"""
{PAIRS}{RUNS}
trainers.convert inputs/deblurgan.pth -o converted.safetensors --dropout
trainers.evaluate runs/{FINISHED} runs/{FINISHED}/images-000000000004.safetensors \
    converted.safetensors --data data/pairs.zarr --split val \
    --protocol gopro-rgb --metrics psnr,ssim,vifp --no-sheets --device cpu -o scores
trainers.deblur runs/{FINISHED} inputs/photos inputs/clip.mp4 -o restored --resume --device cpu
trainers.detect --place-codes inputs/scenes --out inputs/codes
blursynth convolve inputs/codes --size 96 --per-photo 2 --length 2:4 --steps 200 --no-psf --out data/codes.zarr
trainers.detect runs/{FINISHED} --data data/codes.zarr --split all --device cpu -o detection
"""


def published_weights() -> dict[str, torch.Tensor]:
    """The public DeblurGAN generator's names and shapes, two channels wide with one block; numbers without order."""
    shapes = {"model.1": (2, 3, 7), "model.4": (4, 2, 3), "model.7": (8, 4, 3)}
    shapes |= {"model.10.conv_block.1": (8, 8, 3), "model.10.conv_block.6": (8, 8, 3)}
    shapes |= {"model.11": (8, 4, 3), "model.14": (4, 2, 3), "model.18": (3, 2, 7)}
    state = {}
    for name, (first, second, kernel) in shapes.items():
        count = first * second * kernel * kernel
        numbers = torch.remainder(torch.sin(torch.arange(count) * 12.9898) * 43758.5453, 1.0) - 0.5
        state[f"{name}.weight"] = numbers.view(first, second, kernel, kernel) / kernel
        state[f"{name}.bias"] = torch.zeros(second if name in ("model.11", "model.14") else first)
    return state
