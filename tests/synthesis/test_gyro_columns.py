"""What the heading of a gyroscope's recording declares: read as it says, or refused."""

import pathlib
import shutil
import time

import numpy as np
import pytest

from blursynth import errors
from blursynth.makers import shake
from blursynth.synthesis import gyro_columns, gyroscope

SECONDS = np.arange(12) * 0.005
RATES = np.column_stack([0.2 * np.sin(np.arange(12)), 0.4 * np.cos(np.arange(12)), 1.5 * np.cos(2 * np.arange(12))])
VALUES = {
    "s": SECONDS,
    "ms": SECONDS * 1e3,
    "us": SECONDS * 1e6,
    "ns": SECONDS * 1e9,
    "epoch": (SECONDS * 1e9).round() + 1_700_000_000_000_000_000,
    "x": RATES[:, 0],
    "y": RATES[:, 1],
    "z": RATES[:, 2],
    "dx": np.degrees(RATES[:, 0]),
    "dy": np.degrees(RATES[:, 1]),
    "dz": np.degrees(RATES[:, 2]),
    "other": np.ones(12),
}


def written(columns: str, separator: str = ",", decimal: str = ".") -> str:
    """Lines of numbers: the columns of VALUES that these words name."""

    def cell(name: str, row: int) -> str:
        value = VALUES[name][row]
        text = str(1_700_000_000_000_000_000 + row * 5_000_000) if name == "epoch" else f"{value:.12f}"
        return text.replace(".", decimal)

    return "\n".join(separator.join(cell(name, row) for name in columns.split()) for row in range(12)) + "\n"


def read(tmp_path: pathlib.Path, text: str | bytes, columns: str | None = None) -> gyroscope.Log:
    path = tmp_path / "g.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return gyroscope.read(str(path), columns=columns)


@pytest.mark.parametrize(
    ("heading", "columns"),
    [
        ("time,x,y,z", "s x y z"),
        ("seconds_elapsed,z,y,x", "s z y x"),
        ("time,seconds_elapsed,z,y,x", "epoch s z y x"),
        ("x,y,z,time_ns", "x y z ns"),
        ("time_ns,gx,gy,gz", "epoch x y z"),
        ("t,wx,wz,wy", "s x z y"),
        ("Timestamp,gyro_x,gyro_y,gyro_z", "s x y z"),
        ("timestamp (ns),omega_y,omega_x,omega_z", "ns y x z"),
        ("t_us,Gyro X,Gyro Y,Gyro Z", "us x y z"),
        ("Time (ms),GyroX (deg/s),GyroY (deg/s),GyroZ (deg/s)", "ms dx dy dz"),
        ("time,x_dps,y_dps,z_dps", "s dx dy dz"),
        ("time,x [°/s],y [°/s],z [°/s]", "s dx dy dz"),
        ("elapsed_ms,rotation rate x (rad/s),rotation rate y (rad/s),rotation rate z (rad/s)", "ms x y z"),
        ("elapsed_ms,gyro_x_rad_s,gyro_y_rad_s,gyro_z_rad_s", "ms x y z"),
        (
            '"Time (s)","Gyroscope x (rad/s)","Gyroscope y (rad/s)","Gyroscope z (rad/s)","Absolute (rad/s)"',
            "s x y z other",
        ),
        ("loggingTime_s,gyroRotationX(rad/s),gyroRotationY(rad/s),gyroRotationZ(rad/s)", "s x y z"),
        ("time,x-axis (deg/s),y-axis (deg/s),z-axis (deg/s)", "s dx dy dz"),
        ("ns,x,y,z,accuracy", "ns x y z other"),
        ("time,ax,ay,az,gx,gy,gz,temperature", "s other other other x y z other"),
        (
            "#timestamp [ns],w_RS_S_x [rad s^-1],w_RS_S_y [rad s^-1],w_RS_S_z [rad s^-1],a_RS_S_x [m s^-2]",
            "epoch x y z other",
        ),
        ("time,velocity_x (rad/s),velocity_y (rad/s),velocity_z (rad/s)", "s x y z"),
        ("time,rotation_x_dps,rotation_y_dps,rotation_z_dps", "s dx dy dz"),
        ("time,angular_velocity.x,angular_velocity.y,angular_velocity.z", "s x y z"),
        ("time,Gyro - X,Gyro - Y,Gyro-Z", "s x y z"),
        ("# made by hand\n# index, time, wz, wy, wx", "other s z y x"),
    ],
)
def test_headings_are_read(tmp_path: pathlib.Path, heading: str, columns: str) -> None:
    log = read(tmp_path, f"{heading}\n{written(columns)}")
    assert np.allclose(log.seconds - log.seconds[0], SECONDS, atol=1e-9)
    assert np.allclose(log.rates, RATES, atol=1e-9)


@pytest.mark.parametrize("separator", [",", ";", "\t", "  ", ", "])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-8 crlf"])
def test_forms_of_text(tmp_path: pathlib.Path, separator: str, encoding: str) -> None:
    names = separator.join(["time_ms", "gz", "gy", "gx"])
    text = f"# a remark, with commas; and more\n{names}\n{written('ms z y x', separator)}"
    if encoding.endswith("crlf"):
        encoding, text = "utf-8", text.replace("\n", "\r\n")
    log = read(tmp_path, text.encode(encoding))
    assert np.allclose(log.seconds, SECONDS, atol=1e-9)
    assert np.allclose(log.rates, RATES, atol=1e-9)


def test_decimal_commas_and_units_apart(tmp_path: pathlib.Path) -> None:
    text = '"Time (s)";"Gyroscope x (rad/s)";"Gyroscope y (rad/s)";"Gyroscope z (rad/s)"\n' + written(
        "s x y z", ";", ","
    )
    assert np.allclose(read(tmp_path, text).rates, RATES, atol=1e-9)
    text = "time (ms) z (deg/s) y (deg/s) x (deg/s)\n" + written("ms dz dy dx", " ")
    assert np.allclose(read(tmp_path, text).rates, RATES, atol=1e-9)


@pytest.mark.parametrize("trailing", ["", ","])
def test_a_separator_may_end_each_line(tmp_path: pathlib.Path, trailing: str) -> None:
    text = f"time,z,y,x{trailing}\n" + written("s z y x").replace("\n", ",\n")
    assert np.allclose(read(tmp_path, text).rates, RATES, atol=1e-9)


@pytest.mark.parametrize(
    ("heading", "columns"),
    [
        ("time,a,b,c", "s x y z"),
        ("time,x,y", "s x y"),
        ("x,y,z,w", "x y z s"),
        ("time,x,y,z,z", "s x y z z"),
        ("time,gx,wx,gy,gz", "s x x y z"),
        ("time_ms,time_s,x,y,z", "ms s x y z"),
        ("time,t,x,y,z", "s s x y z"),
        ("time,x (mdps),y (mdps),z (mdps)", "s x y z"),
        ("time,x (m/s^2),y (m/s^2),z (m/s^2)", "s x y z"),
        ("time (h),x,y,z", "s x y z"),
        ("time_ms (s),x,y,z", "ms x y z"),
        ("time,x (deg/s),y,z", "s dx y z"),
        ("time,roll,pitch,yaw", "s x y z"),
        ("time,ax,ay,az", "s x y z"),
        ("time,x,y,z,ax,ay,az", "s x y z other other other"),
        ("time,x,y,z,drift", "s x y z other"),
        ("time,gravity_x,gravity_y,gravity_z", "s x y z"),
        ("time,x,y,z", "s x y z other"),
        ("time,x,y,z,", "s x y z other"),
        ("# rates in deg/s\ntime,x,y,z", "s x y z"),
        ("# time in ms", "s x y z"),
        ("time,-gx,gy,gz", "s x y z"),
        ("time,x,y,-z", "s x y z"),
        ("time,gyro -x,gyro y,gyro z", "s x y z"),
        *((f"time,gyro{sign}-x,gyro_y,gyro_z", "s x y z") for sign in "_.:/(["),
        ("time,gyro_- x,gyro_y,gyro_z", "s x y z"),
        ("time,gyro.(-x),gyro.y,gyro.z", "s x y z"),
        ("time,−x,y,z", "s x y z"),  # noqa: RUF001
        ("time,|x|,y,z", "s x y z"),
        ("time,x*,y*,z*", "s x y z"),
        # Not about turning, if no unit says it.
        ("time,velocity_x,velocity_y,velocity_z", "s x y z"),
        ("time,speed x,speed y,speed z", "s x y z"),
        ("time,rotation_x,rotation_y,rotation_z", "s x y z"),
        ("time,rotx,roty,rotz", "s x y z"),
        ("time,g_x,g_y,g_z", "s x y z"),
        ("time,imu_x,imu_y,imu_z", "s x y z"),
        ("time,velocity_x (m/s),velocity_y (m/s),velocity_z (m/s)", "s x y z"),
        ("version,1.3\ntscale,0.001\ntime,x,y,z", "s x y z"),
        # What is not stated and would have to be guessed.
        ("time,x,y,z", "epoch x y z"),
        ("time,x,y,z", "ms x y z"),
        ("time,x,y,z", "ns x y z"),
        ("time (ms),x,y,z", "s x y z"),
        ("", "epoch x y z"),
        ("", "x y z s"),
        ("", "s x y z other"),
    ],
)
def test_what_is_not_understood_is_refused(tmp_path: pathlib.Path, heading: str, columns: str) -> None:
    with pytest.raises(errors.InputError, match="--gyro-columns"):
        read(tmp_path, f"{heading}\n{written(columns)}")


@pytest.mark.parametrize(
    "remark",
    [
        "rates in degrees per second",
        "gyro in deg/s.",
        "units: degrees",
        "units: °/s",
        "mdps",
        "rad",
        "millirad/s",
        "rad/s^2",
        "rates in 0.001 rad/s",
        "time in microseconds",
        "t: us",
        "tscale,0.001",
        "gscale,0.00122173",
        "Scale: 0.5",
        "values / 131",
        "131 LSB each",
        "raw counts",
        "rad/s x 1000",
        "orientation,YxZ",
        "mounted upside down",
        "y inverted",
        "frame: NED",
        "x10",
        "x points left",
        "the axes are -x, y, z",
        "minus z",
        "columns: time,z,y,x",
        "z, y, x",
        "time;z;y;x",
        "columns time\tz y x",
        "gz gy gx",
        "format: zyx",
        "x and z are exchanged",
        "roll, pitch, yaw",
        "columns: time, gyro_x, gyro_z, gyro_y",
        "x, y, z, then time",
        *("grad/s", "gon/s", "arcsec/s", "counts", "int16", "FS_SEL=131", "x 0.001", "z axis first", "Hz", "raw"),
        *("degrés par seconde", "度/秒", "Grad pro Sekunde", "gradi al secondo", "Sony int16", "offset 0.1"),
    ],
)
@pytest.mark.parametrize("separator", [",", " ", "\t"])
def test_remarks_about_the_numbers_are_refused(tmp_path: pathlib.Path, remark: str, separator: str) -> None:
    text = f"# {remark}\n" + written("s x y z", separator)
    with pytest.raises(errors.InputError, match="--gyro-columns") as refused:
        read(tmp_path, text)
    assert remark in str(refused.value) or repr(remark)[1:-1] in str(refused.value) or "Line 1" in str(refused.value)
    assert np.allclose(read(tmp_path, text, "time,x,y,z").rates, RATES, atol=1e-9)


@pytest.mark.parametrize(
    "remark",
    [
        "recorded by hand on 2024-11-03, 12:30:05, with a Galaxy Z Flip 5",
        "200 Hz, 57.2 s, 11440 samples",
        "sent to us by e-mail; thanks",
        "time in seconds, rates in rad/s.",
        "rates about x, y and z in radians per second",
        "columns: time (s), x (rad/s), y (rad/s), z (rad/s)",
        "time x y z",
        "t;gx;gy;gz",
        "rad s^-1",
        "the camera turns about z alone",
        "Sony a7 IV, f/2.8, 1/125 s, ISO 100 x-series",
        "iPhone 12 Pro; app 1.2 on x86_64, had the flu",
        "small-scale motion, raw recording, 25 °C",
        "the bias of 0.01 rad/s is removed; signal and radius are prose",
        "https://example.org/data/2024/gyro_x.csv?id=5",
        "sampled at 400 Hz with an MPU6050; recorded on 3 May 2024 by my phone (GoPro HERO9)",
    ],
)
def test_remarks_that_are_prose_are_read(tmp_path: pathlib.Path, remark: str) -> None:
    for heading in ("", "time,x,y,z\n"):
        text = f"# {remark}\n{heading}{written('s x y z')}# {remark}\n"
        assert np.allclose(read(tmp_path, text).rates, RATES, atol=1e-9)


def test_remarks_beside_a_heading(tmp_path: pathlib.Path) -> None:
    """Units in a heading count before a remark's; a scale or another order of axes is refused there, too."""
    heading = "time (s),z (rad/s),y (rad/s),x (rad/s)\n"
    for remark in ("# 30 degrees\n", "# time, z, y, x\n", "# ms\n"):
        assert np.allclose(read(tmp_path, remark + heading + written("s z y x")).rates, RATES, atol=1e-9)
    assert read(tmp_path, "# Grad pro Sekunde\n" + heading + written("s z y x")).rates.any()
    for remark in ("# gscale,0.001\n", "# x 0.001\n", "# z axis first\n", "# time, x, y, z\n", "# orientation: xYZ\n"):
        with pytest.raises(errors.InputError, match="--gyro-columns"):
            read(tmp_path, remark + heading + written("s z y x"))


@pytest.mark.parametrize(
    ("words", "columns"),
    [
        ("x,y,z,time_ns", "x y z ns"),
        ("-, time (s), x (deg/s), y (deg/s), z (deg/s)", "epoch s dx dy dz"),
        ("time_ns,x,y,z", "epoch x y z"),
    ],
)
@pytest.mark.parametrize("heading", ["", "some,words,of,no,meaning\n", "a,b\nc,d\n", "# in deg/s and ms\n"])
def test_columns_by_an_option(tmp_path: pathlib.Path, words: str, columns: str, heading: str) -> None:
    log = read(tmp_path, heading + written(columns), words)
    assert np.allclose(log.seconds - log.seconds[0], SECONDS, atol=1e-9)
    assert np.allclose(log.rates, RATES, atol=1e-9)


def test_rates_and_times_are_plausible(tmp_path: pathlib.Path) -> None:
    fast = np.column_stack([SECONDS, RATES * 30])
    for heading in ("", "time,x,y,z\n", "time,x (rad/s),y (rad/s),z (rad/s)\n"):
        with pytest.raises(errors.InputError, match="45 rad/s"):
            read(tmp_path, heading + "\n".join(",".join(map(str, row)) for row in fast))
    still = np.column_stack([SECONDS, RATES * 0])
    assert not read(tmp_path, "\n".join(",".join(map(str, row)) for row in still)).rates.any()
    times = np.concatenate([np.arange(50), 50 + 25 + np.arange(50)]) * 0.005
    gap = "\n".join(f"{time},0,0,0" for time in times)
    with pytest.raises(errors.InputError, match=r"gap of 0\.13 s after 0\.245 s"):
        read(tmp_path, gap)
    with pytest.raises(errors.InputError, match="repeated"):
        read(tmp_path, "time,x,y,z\n0,0,0,0\n0.01,0,0,0\n0.01,0,0,0\n0.02,0,0,0\n")


@pytest.mark.parametrize(
    "content",
    [b"\0" * 64, b"\xff\xfe\0", b"time,x,y,z\n" + b"9" * 400 + b",0,0,0\n1,0,0,0\n", b"\xff" * 9, b"1\0,2,3,4\n" * 3],
)
def test_hostile_bytes_are_a_sentence(tmp_path: pathlib.Path, content: bytes) -> None:
    with pytest.raises(errors.InputError, match=r"g\.csv"):
        read(tmp_path, content)


def test_columns_of_phones_apps(shared_data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """`seconds_elapsed,z,y,x` turns about z alone; `x,y,z,time` in nanoseconds has no heading that says it."""
    case = shared_data / "cases" / "08-gyro-columns-z-y-x"
    asked = {"seed": 0, "size": 64, "exposure": "0.1"}
    made = shake.maker(str(case / "photos"), asked | {"gyro": str(case / "roll_only.csv")}).make(range(1))
    assert made["camera_path"][0, -1] == pytest.approx([0, 0, -0.5 * 0.1 * 128 / 255, 0, 0, 0], abs=1e-6)
    with pytest.raises(errors.InputError) as refused:
        shake.maker(str(case / "photos"), asked | {"gyro": str(case / "time_last.csv")})
    assert "Sort" not in str(refused.value)
    last = asked | {"gyro": str(case / "time_last.csv"), "gyro_columns": "x,y,z,time_ns"}
    table = np.loadtxt(case / "time_last.csv", delimiter=",")
    log = gyroscope.read(str(case / "time_last.csv"), columns="x,y,z,time_ns")
    assert np.array_equal(log.rates, table[:, :3])
    assert np.allclose(log.seconds - log.seconds[0], (table[:, 3] - table[0, 3]) / 1e9)
    assert shake.maker(str(case / "photos"), last).make(range(1))["valid"].all()
    whole = shake.maker(str(case / "photos"), asked | {"exposure": "0.05", "gyro": str(case / "Gyroscope.csv")})
    assert [(left.name, left.reason) for left in whole.left_out] == [
        ("Gyroscope.csv", "has columns that are not read: time")
    ]
    real = shared_data / "real" / "gyro" / "handshake_ns.txt"
    with pytest.raises(errors.InputError, match="nanoseconds"):
        gyroscope.read(str(real))
    copy = shutil.copy(real, tmp_path / "g.txt")
    assert gyroscope.read(str(copy), columns="time_ns,x,y,z").duration == pytest.approx(57.214, abs=0.001)


def test_a_name_of_half_a_megabyte_is_refused_at_once() -> None:
    began = time.perf_counter()
    with pytest.raises(errors.InputError) as caught:
        gyro_columns.understood(["time", "x", "y", "z" + "(" * 500_000], "Line 1")
    assert len(str(caught.value)) < 1000
    assert time.perf_counter() - began < 2
