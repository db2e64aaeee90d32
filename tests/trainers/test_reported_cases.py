"""Reports that came with the very files and commands: run as they were sent, in a copy of their folder."""

import filecmp
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def run(case: pathlib.Path, folder: pathlib.Path) -> subprocess.CompletedProcess[str]:
    shutil.copytree(case, folder)
    environment = os.environ | {
        "PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}",
    }
    return subprocess.run(
        ["sh", "command.sh"], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=600
    )


@pytest.mark.slow
def test_a_folder_of_another_networks_results_is_not_taken_for_ones_own(
    shared_data: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    outcome = run(shared_data / "cases" / "14-deblur-resume-other-network", tmp_path / "case")
    assert "exit code 2" in outcome.stdout, outcome.stderr
    assert "another network" in outcome.stderr
    assert not filecmp.cmp(tmp_path / "case" / "out" / "0.png", tmp_path / "case" / "fresh" / "0.png", shallow=False)
    assert not (tmp_path / "case" / "out" / "1.png").exists()


@pytest.mark.slow
def test_an_export_of_input_and_target_is_scored(shared_data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    outcome = run(shared_data / "cases" / "18-evaluate-input-target", tmp_path / "case")
    assert outcome.returncode == 0, outcome.stderr
    assert "flat/test, 3 images of 64x64" in outcome.stdout
