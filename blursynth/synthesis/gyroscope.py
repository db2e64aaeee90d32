"""Recordings of a gyroscope: turning rates over time, as paths of a camera."""

import dataclasses
import hashlib

import numpy as np
import numpy.typing as npt
from scipy.spatial import transform

from blursynth import errors
from blursynth.media import source_file

FINE = 8  # steps of integration between two knots of a path, at least


@dataclasses.dataclass(frozen=True, eq=False)
class Log:
    """seconds: float64 (S,), increasing. rates: float64 (S, 3), rad/s about the camera's axes: x to the right, y down,
    z into the scene. sha256: of the file."""

    seconds: npt.NDArray[np.float64]
    rates: npt.NDArray[np.float64]
    sha256: str

    @property
    def duration(self) -> float:
        return float(self.seconds[-1] - self.seconds[0])

    def path(
        self, duration: float, place: float, knots: int, scale: float, reference: int | None = None
    ) -> npt.NDArray[np.float64]:
        """Poses over `duration` seconds of the recording, float64 (knots, 6), relative to the one at `reference`.

        place: in [0, 1), where in the recording. The scene turns against the camera: dX/dt = -w x X, integrated over
        short steps of constant rate, the rates being linear between recorded ones. scale: factor on the rates.
        reference: a knot, by default the middle one.
        """
        rates, step_seconds, fine = self._rates(duration, place, knots)
        steps = transform.Rotation.from_rotvec(-scale * rates * step_seconds)
        orientation = [transform.Rotation.identity()]
        for k in range(knots - 1):
            now = orientation[-1]
            for step in steps[k * fine : (k + 1) * fine]:
                now = step * now
            orientation.append(now)
        back = orientation[(knots - 1) // 2 if reference is None else reference].inv()
        rotations = np.stack([(each * back).as_rotvec() for each in orientation])
        return np.concatenate([rotations, np.zeros_like(rotations)], axis=1)

    def summed(self, duration: float, place: float, knots: int, scale: float) -> npt.NDArray[np.float64]:
        """As `path`, relative to the first pose, as Lai et al. 2016 read their own recordings.

        Angles are added up about each axis by itself, and a recording's x, y and z are the camera's -y, -x and -z.
        """
        rates, step_seconds, fine = self._rates(duration, place, knots)
        angles = scale * step_seconds * rates[:, [1, 0, 2]].reshape(knots - 1, fine, 3).sum(axis=1)
        rotations = np.concatenate([np.zeros((1, 3)), np.cumsum(angles, axis=0)])
        return np.concatenate([rotations, np.zeros_like(rotations)], axis=1)

    def _rates(self, duration: float, place: float, knots: int) -> tuple[npt.NDArray[np.float64], float, int]:
        """Rates of short steps, float64 ((knots - 1) * fine, 3), rad/s; seconds of a step; and `fine`."""
        start = self.seconds[0] + place * (self.duration - duration)
        fine = FINE * max(1, -(-len(self.seconds) // (knots * FINE)))
        times = start + duration * (np.arange((knots - 1) * fine) + 0.5) / ((knots - 1) * fine)
        rates = np.stack([np.interp(times, self.seconds, self.rates[:, axis]) for axis in range(3)], axis=1)
        return rates, duration / len(times), fine


def read(path: str, longest: float = 0.0, shortest: float | None = None, data: bytes | None = None) -> Log:
    """Read a text file with a line a sample: seconds and three rates in rad/s, separated by commas or spaces.

    longest, shortest: seconds that a path may take. data: the file's bytes, where they have been read already. Lines
    that begin with # and a first line of words are passed over.
    Raises InputError where it cannot be used, SourceError where it cannot be read.
    """
    content = source_file.read(path) if data is None else data
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise errors.InputError(
            f"{path} is not a text file; a recording is lines of seconds and three rates in rad/s."
        ) from None
    rows: list[list[float]] = []
    for number, line in enumerate(lines, 1):
        text = line.replace(",", " ").replace(";", " ").split()
        if not text or text[0].startswith("#"):
            continue
        try:
            row = [float(word) for word in text]
        except ValueError:
            if not rows:
                continue  # names of the columns
            raise errors.InputError(f"Line {number} of {path} is not numbers: {line.strip()[:60]}.") from None
        if len(row) != 4 or not np.all(np.isfinite(row)):
            raise errors.InputError(
                f"Line {number} of {path} is {line.strip()[:60]!r}; expected four finite numbers: seconds and three "
                "rates in rad/s."
            )
        rows.append(row)
    if len(rows) < 2:
        raise errors.InputError(f"{path} holds {len(rows)} samples of a gyroscope; a path needs at least two.")
    table = np.array(rows)
    log = Log(table[:, 0], table[:, 1:], hashlib.sha256(content).hexdigest())
    unordered = np.flatnonzero(np.diff(log.seconds) <= 0)
    if unordered.size:
        at = int(unordered[0])
        raise errors.InputError(
            f"The times of {path} do not increase: {log.seconds[at]:g} s is followed by {log.seconds[at + 1]:g} s. "
            "Sort its lines, and leave out repeated ones."
        )
    if log.duration < longest:
        raise errors.InputError(
            f"{path} lasts {log.duration:g} s, and an exposure with its readout takes up to {longest:g} s. "
            "Record longer, or give a shorter --exposure."
        )
    apart = float(np.median(np.diff(log.seconds)))
    if shortest is not None and apart > shortest * (1 + 1e-6):  # times in a file are rounded
        raise errors.InputError(
            f"The samples of {path} are {apart:g} s apart, longer than an exposure of {shortest:g} s, so that nothing "
            "of the recorded motion would be in it. Are its times in seconds?"
        )
    return log
