"""The wheel that users install: it has everything, and works away from the source tree."""

import pathlib
import subprocess
import sys
import sysconfig
import zipfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT]
    subprocess.run(command, check=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def python(wheel: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """An interpreter with the wheel installed and our dependencies, but not the source tree, on its path."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    site = next((folder / "lib").glob("python*/site-packages"))
    # A .pth would run the finder of an editable install of this tree; a plain path entry does not.
    (site / "sitecustomize.py").write_text(f"import sys; sys.path.append({sysconfig.get_path('purelib')!r})\n")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    return folder / "bin" / "python"


@pytest.mark.slow
def test_it_holds_both_packages_the_recipes_and_the_type_marker(wheel: pathlib.Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    recipes = {f"blursynth/{path.relative_to(ROOT)}" for path in (ROOT / "recipes").rglob("*.toml")}
    assert recipes
    assert recipes <= set(names)
    assert {"blursynth/py.typed", "trainers/py.typed", "trainers/run.py", "blursynth/report/page.css"} <= set(names)
    assert not [name for name in names if name.startswith("tests") or "__pycache__" in name]


@pytest.mark.slow
def test_commands_and_recipes_by_name_work_elsewhere(python: pathlib.Path, tmp_path: pathlib.Path) -> None:
    def run(*arguments: str) -> str:
        done = subprocess.run(
            [python, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert str(python.parents[1]) in run("-c", "import blursynth; print(blursynth.__file__)")
    assert "64 paths" in run("-m", "blursynth", "trajectories", "--n", "64")
    run("-m", "blursynth", "convolve", "scenes:4", "--size", "64", "--length", "10", "--out", "pairs.zarr")
    assert "deblurgan" in run("-m", "trainers.run", "smoke/deblurgan", "--data", "pairs.zarr", "--dry-run")


@pytest.mark.slow
def test_without_torch_and_opencv_datasets_are_made_and_read(python: pathlib.Path, tmp_path: pathlib.Path) -> None:
    block = "import sys; sys.modules['torch'] = sys.modules['cv2'] = None; "
    command = "sys.argv = ['blursynth', 'convolve', 'scenes:2', '--size', '64', '--out', 'p.zarr']; "
    subprocess.run(
        [python, "-c", f"{block}{command}from blursynth.__main__ import main; main()"], cwd=tmp_path, check=True
    )
    subprocess.run(
        [python, "-c", f"{block}import blursynth; blursynth.open('p.zarr').read('sharp', [0])"],
        cwd=tmp_path,
        check=True,
    )
