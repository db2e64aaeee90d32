"""The `blursynth` group. A command's module is imported when it runs, so that `--help` is immediate."""

import importlib

import click

import blursynth as package

# command -> (one line for --help). The module of a command is blursynth.cli.COMMAND (with _ for -), its function
# `command`.
COMMANDS = {
    "trajectories": "Random camera trajectories (Boracchi-Foi; DeblurGAN's Algorithm 1).",
    "psfs": "Sub-pixel blur kernels from a trajectories dataset.",
    "convolve": "Blurred/sharp pairs from a folder of photos.",
    "shake": "Blurred/sharp pairs from photos, seen by a camera that moves in six dimensions.",
    "objects": "Blurred/sharp pairs from photos whose objects move, by their masks.",
    "average-frames": "Blurred/sharp pairs from 240 fps video.",
    "import": "Published sets and other tools' folders as a dataset of pairs.",
    "make": "The datasets of a recipe.",
    "export": "A dataset of pairs as files that other tools read.",
    "info": "What a dataset holds, in words.",
    "preview": "A contact sheet of a dataset as PNG.",
    "report": "A dataset on one HTML page: items, distributions, provenance.",
    "verify": "Whether a dataset still is what was made.",
    "repair": "Make damaged or missing shards again.",
    "replay": "Make one item again and compare it.",
}


def module_of(command: str) -> str:
    """The module of a command. No module can be called `import`."""
    return f"blursynth.cli.{'import_pairs' if command == 'import' else command.replace('-', '_')}"


class LazyGroup(click.Group):
    """Lists commands from COMMANDS and imports only the one that is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(module_of(cmd_name)).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package.__version__, prog_name="blursynth")
def blursynth() -> None:
    """Faithful synthetic motion-blur datasets at any size.

    \b
    Examples:
      blursynth trajectories --n 100000
      blursynth convolve photos/ --size 256 --per-photo 10 --out pairs.zarr
      blursynth convolve scenes:200 --size 256 --out pairs.zarr
      blursynth preview pairs.zarr
    """
