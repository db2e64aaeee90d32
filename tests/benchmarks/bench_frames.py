"""average-frames against a bare cv2.VideoCapture read loop over the same minute of 1280x720 video, in the same run.

    python tests/benchmarks/bench_frames.py [CLIP] [--seconds 60] [--runs 3] [--workers 4]

CLIP is looped without recoding until it lasts the time asked for; without it a moving test picture is coded first.
Prints frames per second of each, start-up apart (kernels compiled, clip indexed and hashed), the ratio of the best
runs, processor time of a frame in ms (which other work on the machine changes less), and the largest memory of the
process that averages, beside that for a third of the time.
"""

import argparse
import fractions
import json
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

import av
import cv2
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data" / "gopro240" / "gopro240_GOPR0477_11_00.mp4"


def looped(source: pathlib.Path, target: pathlib.Path, seconds: float) -> int:
    """Copy packets of `source` over and over; gives the number of frames."""
    frames = 0
    with av.open(str(target), "w") as out:
        stream = None
        offset = 0
        while True:
            with av.open(str(source)) as container:
                video = container.streams.video[0]
                stream = stream or out.add_stream_from_template(video)
                packets = [packet for packet in container.demux(video) if packet.size]
                step = int(fractions.Fraction(1) / (video.average_rate * video.time_base))
                for packet in packets:
                    packet.pts, packet.dts = packet.pts + offset, packet.dts + offset
                    packet.stream = stream
                    out.mux(packet)
                offset += step * len(packets)
                frames += len(packets)
                if frames >= seconds * float(video.average_rate):
                    return frames


def test_picture(target: pathlib.Path) -> None:
    """300 frames of texture that moves 6 px a frame, at 240 per second."""
    texture = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (720, 4000, 3), np.uint8), (0, 0), 3)
    texture = cv2.normalize(texture, None, 0, 255, cv2.NORM_MINMAX)
    with av.open(str(target), "w") as out:
        stream = out.add_stream("libx264", rate=240, options={"crf": "18", "preset": "fast"})
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        for k in range(300):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(texture[:, 6 * k : 6 * k + 1280]), format="rgb24")
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def opencv_reads(clip: pathlib.Path) -> tuple[float, float]:
    """Frames per second of the bare loop, and ms of processor time a frame."""
    capture = cv2.VideoCapture(str(clip))
    capture.read()
    began, worked, frames = time.perf_counter(), time.process_time(), 0
    while capture.read()[0]:
        frames += 1
    return frames / (time.perf_counter() - began), 1000 * (time.process_time() - worked) / frames


def average(clip: pathlib.Path, out: pathlib.Path, workers: int) -> dict[str, float]:
    """Make the dataset in this process, which was started for it."""
    from blursynth.makers import average_frames_request
    from blursynth.production import run

    description = average_frames_request.maker([str(clip)], {"seed": 0, "frames": "11"})
    description.make(range(1))  # compiles
    peak, stop = [0], threading.Event()
    watch = threading.Thread(target=_watch, args=(peak, stop))
    watch.start()
    worked = time.process_time()
    outcome = run.produce(description, out, workers=workers)
    worked = time.process_time() - worked
    stop.set()
    watch.join()
    frames = description.schema.items * 11
    return {"fps": frames / outcome.seconds, "cpu": 1000 * worked / frames, "mb": peak[0] / 1e6}


def _watch(peak: list[int], stop: threading.Event) -> None:
    while not stop.wait(0.01):
        resident = int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4096
        peak[0] = max(peak[0], resident)


def in_new_process(clip: pathlib.Path, folder: pathlib.Path, workers: int) -> dict[str, float]:
    out = folder / "pairs.zarr"
    subprocess.run(["rm", "-rf", str(out)], check=True)
    command = [sys.executable, __file__, str(clip), "--child", str(out), "--workers", str(workers)]
    made = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, float] = json.loads(made.stdout.splitlines()[-1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", nargs="?", type=pathlib.Path)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--child", type=pathlib.Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(average(given.clip, given.child, given.workers)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        source = given.clip or (SHARED if SHARED.is_file() else folder / "picture.mp4")
        if not source.is_file():
            test_picture(source)
        long, short = folder / "long.mp4", folder / "short.mp4"
        frames = looped(source, long, given.seconds)
        looped(source, short, given.seconds / 3)
        print(f"{source.name}, looped: {frames} frames; M = 11, {given.workers} workers; frames per second")
        print(f"{'run':<6}{'cv2 read':>10}{'ours':>10}{'ratio':>8}{'ms, cv2':>10}{'ours':>8}{'memory':>12}")
        baseline, ours = [], []
        for run in range(given.runs):
            speed, worked = opencv_reads(long)
            baseline.append(speed)
            ours.append(in_new_process(long, folder, given.workers))
            fps = ours[-1]["fps"]
            times = f"{worked:>10.2f}{ours[-1]['cpu']:>8.2f}"
            print(f"{run:<6}{speed:>10.0f}{fps:>10.0f}{fps / speed:>8.2f}{times}{ours[-1]['mb']:>9.0f} MB")
        best = max(each["fps"] for each in ours)
        print(f"{'best':<6}{max(baseline):>10.0f}{best:>10.0f}{best / max(baseline):>8.2f}")
        third = in_new_process(short, folder, given.workers)
        print(f"memory of a third of the time: {third['mb']:.0f} MB")


if __name__ == "__main__":
    main()
