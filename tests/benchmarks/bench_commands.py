"""Commands as a user runs them, from the shell: wall time, peak memory, disk.

    python tests/benchmarks/bench_commands.py [--photos FOLDER]

Each line is a fresh process with a warm compile cache (the first line of a kind fills it).
"""

import argparse
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
import time


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", default="scenes:48", help="what `convolve` blurs (default: scenes:48)")
    photos = parser.parse_args().photos
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"{'command':<74}{'wall s':>8}{'CPU s':>8}{'peak MB':>9}{'disk MB':>9}")
    pairs = ["convolve", photos, "--size", 256]
    lines: list[list[object]] = [
        ["--help"],
        ["trajectories", "--n", 1000],
        ["trajectories", "--n", 100_000],
        ["trajectories", "--n", 100_000, "--workers", 1],
        ["trajectories", "--n", 400_000],
        ["psfs", "{trajectories}", "--size", 64],
        ["psfs", "{trajectories}", "--size", 64, "--workers", 1],
        [*pairs, "--per-photo", 20],
        [*pairs, "--per-photo", 20, "--workers", 1],
        [*pairs, "--per-photo", 100],
        ["report", "{pairs}"],
        ["report", "{pairs}", "--sample", 100_000, "--images", 100_000],
        ["report", "{trajectories}"],
    ]
    with tempfile.TemporaryDirectory(dir=".") as folder:
        trajectories = f"{folder}/trajectories.zarr"
        run(["trajectories", "--n", 100_000, "--out", trajectories, "--quiet"])
        small = f"{folder}/pairs.zarr"  # 100,000 of them
        run(["convolve", "scenes:500", "--size", 32, "--per-photo", 200, "--out", small, "--quiet"])
        for k, line in enumerate(lines):
            arguments = [str(part).format(trajectories=trajectories, pairs=small) for part in line]
            out = pathlib.Path(folder) / f"{k}.zarr"
            making = [] if line == ["--help"] else ["--out", str(out)] + ["--quiet"] * (line[0] != "report")
            wall, cpu, peak = run([*arguments, *making])
            disk = sum(path.stat().st_size for path in [out, *out.rglob("*")] if path.is_file()) / 1e6
            shown = " ".join(arguments).replace(f"{folder}/", "")
            print(f"{shown:<74}{wall:>8.2f}{cpu:>8.2f}{peak:>9.0f}{disk:>9.0f}", flush=True)
            subprocess.run(["rm", "-rf", out], check=True)


def run(arguments: list[object]) -> tuple[float, float, float]:
    """Wall and processor seconds and peak memory in MB of one command."""
    command = [sys.executable, "-m", "blursynth", *map(str, arguments)]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, command
    return time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


if __name__ == "__main__":
    main()
