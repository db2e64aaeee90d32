"""Other libraries open a dataset without this package and without a warning; reading it loads none of the makers."""

import pathlib
import subprocess
import sys

import fake_maker
import numpy as np
import pytest

from blursynth.production import run

ALONE = "import sys; sys.modules['blursynth'] = None\n"
OPENERS = {
    "zarr": """
        import zarr
        group = zarr.open_group(path, mode="r")
        assert sorted(name for name, _ in group.members()) == sorted([*group.attrs["blursynth"]["arrays"], "digest"])
        read = lambda name: group[name][...]
    """,
    "tensorstore": """
        import tensorstore as ts
        read = lambda name: ts.open(
            {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{path}/{name}/"}}
        ).result().read().result()
    """,
    "xarray": """
        import xarray
        dataset = xarray.open_zarr(path, consolidated=False)
        assert dataset["picture"].dims == ("item", "y", "x", "channel")
        assert dataset["picture"].attrs["transfer_function"] == "gamma2.2"
        read = lambda name: dataset[name].values
    """,
    "dask": """
        import dask.array
        read = lambda name: dask.array.from_zarr(path, component=name).compute()
    """,
}


@pytest.mark.parametrize("library", OPENERS)
def test_opens_without_this_package_and_without_a_warning(library: str, tmp_path: pathlib.Path) -> None:
    maker = fake_maker.Fake()
    path = tmp_path / "fake.zarr"
    run.produce(maker, path)
    body = "\n".join(line.removeprefix("        ") for line in OPENERS[library].splitlines())
    store = (
        "import numpy as np; np.savez(out, **{n: read(n) for n in ('picture', 'frame', 'weight', 'source', 'valid')})"
    )
    script = f"{ALONE}path = {str(path)!r}; out = {str(tmp_path / 'out.npz')!r}\n{body}\n{store}"
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    with np.load(tmp_path / "out.npz") as read:
        for name in read.files:
            wanted = np.stack([maker.item(item)[name] for item in range(maker.items)])
            np.testing.assert_array_equal(read[name], wanted)
            assert read[name].dtype == wanted.dtype


def test_reading_imports_none_of_the_makers() -> None:
    heavy = {"dask", "distributed", "numba", "cv2", "torch", "zarr", "xarray", "click", "PIL"}
    script = (
        f"import sys; sys.path = {sys.path!r}; import blursynth.loading.patches; print(*{heavy!r} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
