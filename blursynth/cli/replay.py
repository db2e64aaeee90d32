"""`blursynth replay`."""

from typing import Any

import click

from blursynth.cli import inspection


@click.command("replay")
@click.argument("dataset", metavar="DATASET")
@click.argument("index", type=click.IntRange(0))
@click.option("--out", "-o", help="Folder for the pair made again, as PNGs.")
@inspection.moved
def command(dataset: str, index: int, out: str | None, **given: Any) -> int:
    """Make item INDEX of DATASET again from its record, and compare it with what is stored.

    Items are numbered as they are stored and as `blursynth verify` names them; those left out keep their number.
    Prints the item's columns and where it came from. Exit code 0: equal to the bit; 1: not.

    \b
    Examples:
      blursynth replay pairs.zarr 17
      blursynth replay pairs.zarr 17 --out pair-17/
    """
    from blursynth.maintenance import replay

    found = replay.replay(dataset, index, moved=inspection.moved_inputs(given))
    click.echo(_in_words(found))
    if out is not None:
        for path in _write(found, out):
            click.echo(path)
    return 0 if found.equal else 1


def _in_words(found: Any) -> str:
    lines = [f"item {found.item} of {found.path}, in shard {found.shard}"]
    if found.source is not None:
        source = found.source
        lines.append(
            f"  from      {source['name']}, {source['width']}x{source['height']} px, SHA-256 {source['sha256']}"
        )
    if found.split is not None:
        lines.append(f"  split     {found.split}")
    columns = [name for name, values in found.stored.items() if not values.shape and name not in ("valid", "split")]
    width = max(10, *(len(name) + 1 for name in columns)) if columns else 10
    for name in columns:
        units = "" if found.units[name] == "1" else f" {found.units[name]}"
        lines.append(f"  {name:<{width}}{found.stored[name]}{units}")
    if found.equal:
        return "\n".join([*lines, "made again, it is equal to the bit"])
    lines += [f"{name} {words}" for name, words in found.differences.items()]
    if found.versions:
        lines.append(f"Other versions may explain it: {'; '.join(found.versions)}.")
    return "\n".join(lines)


def _write(found: Any, folder: str) -> list[str]:
    """The images made again and, where they are not equal, also those stored."""
    from blursynth import errors
    from blursynth.sources import png
    from blursynth.stores import store

    images = [name for name in ("blurred", "sharp") if name in found.made]
    if not images:
        raise errors.DatasetError(f"--out writes images, and {found.path} holds {found.kind}; leave it out.")
    stem = f"{folder.rstrip('/')}/item-{found.item:06d}"
    written = {f"{stem}-{name}.png": found.made[name] for name in images}
    for name in set(images) & set(found.differences):
        written[f"{stem}-{name}-stored.png"] = found.stored[name]
    for path, pixels in written.items():
        store.write_file(path, png.encode(pixels))
    return list(written)
