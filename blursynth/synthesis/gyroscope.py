"""Recordings of a gyroscope: turning rates over time, as paths of a camera."""

import dataclasses
import hashlib

import numpy as np
import numpy.typing as npt
from scipy.spatial import transform

from blursynth import errors
from blursynth.media import source_file
from blursynth.synthesis import gyro_columns, gyro_table

FINE = 8  # steps of integration between two knots of a path, at least
SHORTEST_STEP, LONGEST_STEP = 1e-4, 0.1
"""Seconds between the samples of a recording, in the median: 10 to 10,000 a second."""
WIDEST_GAP = 20
"""Times the median step: the longest step of a recording."""
FASTEST = np.radians(2000.0) * 1.001
"""rad/s: the widest range of common gyroscopes, and a little for their calibration."""
_MOST_BYTES = 2**26
_UNITS = {"milliseconds (time_ms)": 1e-3, "microseconds (time_us)": 1e-6, "nanoseconds (time_ns)": 1e-9}


@dataclasses.dataclass(frozen=True, eq=False)
class Log:
    """seconds: float64 (S,), increasing. rates: float64 (S, 3), rad/s about the camera's axes: x to the right, y down,
    z into the scene. sha256: of the file. ignored: names of the columns that are not read."""

    seconds: npt.NDArray[np.float64]
    rates: npt.NDArray[np.float64]
    sha256: str
    ignored: tuple[str, ...] = ()

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


def read(
    path: str,
    longest: float = 0.0,
    shortest: float | None = None,
    data: bytes | None = None,
    columns: str | None = None,
) -> Log:
    """Read a text file with a line a sample: a time and three rates, separated by commas, semicolons, tabs or spaces.

    A heading says what the columns are, see `gyro_columns`; columns: the same in words, where there is none or it is
    not understood ("time_ns,x,y,z"). Without either they are seconds and rates about x, y and z in rad/s. Other lines
    that begin with # are passed over. longest, shortest: seconds that a path may take. data: the file's bytes, where
    they have been read already.

    Raises InputError where it cannot be used, and where its times or rates are not plausible in their units;
    SourceError where the system cannot read it.
    """
    content = _content(path) if data is None else data
    with errors.boundary(path, "the recording of a gyroscope"):
        seconds, rates, layout = gyro_table.table(path, content, columns)
    log = Log(seconds, rates, hashlib.sha256(content).hexdigest(), layout.ignored)
    _check_times(path, log, layout)
    _check_rates(path, log, layout)
    if log.duration < longest:
        raise errors.InputError(
            f"{path} lasts {log.duration:g} s, and an exposure with its readout takes up to {longest:g} s. "
            "Record longer, or give a shorter --exposure."
        )
    apart = float(np.median(np.diff(log.seconds)))
    if shortest is not None and apart > shortest * (1 + 1e-6):  # times in a file are rounded
        raise errors.InputError(
            f"The samples of {path} are {apart:g} s apart, longer than an exposure of {shortest:g} s, so that nothing "
            "of the recorded motion would be in it. Give a longer --exposure, or more samples a second."
        )
    return log


def _content(path: str) -> bytes:
    source_file.require_file(path, "a recording: a text file of lines with a time and rates")
    content = source_file.read(path)
    if len(content) > _MOST_BYTES:
        raise errors.InputError(f"{path} has {len(content):,} bytes; a recording of up to {_MOST_BYTES:,} can be read.")
    return content


def _check_times(path: str, log: Log, layout: gyro_columns.Columns) -> None:
    """Raise InputError where times do not increase, or a phone would not have sampled at them."""
    steps = np.diff(log.seconds)
    backward = np.flatnonzero(steps <= 0)
    if backward.size:
        raise errors.InputError(f"The times of {path} do not increase: {_disorder(log, layout, int(backward[0]))}")
    if not layout.named and len(layout.increasing) > 1 and len(steps) > 1:
        listed = " and ".join(str(k + 1) for k in layout.increasing)
        raise errors.InputError(f"Columns {listed} of {path} all increase as times do. {gyro_columns.HOW}.")
    apart = float(np.median(steps))
    if not SHORTEST_STEP <= apart <= LONGEST_STEP:
        of = "its heading says" if layout.stated[0] else "taken for seconds, since nothing says otherwise"
        units = [unit for unit, factor in _UNITS.items() if SHORTEST_STEP <= apart * factor <= LONGEST_STEP]
        guess = f" Are they {units[0]}?" if units and not layout.stated[0] else ""
        raise errors.InputError(
            f"The samples of {path} are {apart:g} s apart ({of}); expected from {SHORTEST_STEP:g} s to "
            f"{LONGEST_STEP:g} s, 10 to 10,000 a second.{guess} {gyro_columns.HOW}."
        )
    widest = int(np.argmax(steps))
    if steps[widest] > WIDEST_GAP * apart:
        raise errors.InputError(
            f"{path} has a gap of {steps[widest]:g} s after {log.seconds[widest]:g} s, and its samples are {apart:g} s "
            f"apart: the motion in a gap of more than {WIDEST_GAP} samples is not known. Cut the file there."
        )


def _disorder(log: Log, layout: gyro_columns.Columns, at: int) -> str:
    position, factor = layout.positions[0], layout.factors[0]
    found = f"{log.seconds[at] / factor:g} is followed by {log.seconds[at + 1] / factor:g} in column {position + 1}."
    if layout.named:
        return f"{found} Sort the lines by that column, and leave out those whose time is repeated."
    if layout.increasing:
        listed = " and ".join(str(k + 1) for k in layout.increasing)
        return f"{found} Times seem to be in column {listed}, which the file does not say. {gyro_columns.HOW}."
    return f"{found} Nothing in the file says that this column is the time. {gyro_columns.HOW}."


def _check_rates(path: str, log: Log, layout: gyro_columns.Columns) -> None:
    """Raise InputError for rates beyond what the gyroscopes of phones and cameras measure."""
    largest = float(np.abs(log.rates).max())
    if largest > FASTEST:
        unit = "as its heading says" if layout.stated[1] else "taken for rad/s, since nothing says otherwise"
        guess = "" if layout.stated[1] else " Are they deg/s?"
        raise errors.InputError(
            f"The largest rate of {path} is {largest:.4g} rad/s ({unit}); a gyroscope measures up to {FASTEST:.4g} "
            f"rad/s (2000 deg/s).{guess} {gyro_columns.HOW}."
        )
