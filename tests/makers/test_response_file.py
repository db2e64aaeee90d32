"""Response tables: what their headings and numbers declare is read, or refused."""

import os
import pathlib

import numpy as np
import pytest

from blursynth import errors
from blursynth.makers import response_file

CURVE = (np.arange(256) / 255) ** 2.2
THREE = np.stack([CURVE, 2 * CURVE, 3 * CURVE], axis=1)


def text(columns: str, separator: str = ",") -> str:
    """Lines of the channels that `columns` names, in its order."""
    which = ["rgb".index(name) for name in columns]
    return "\n".join(separator.join(f"{value:.12f}" for value in row[which]) for row in THREE) + "\n"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (text("r"), CURVE),
        ("﻿" + text("r"), CURVE),
        ("# measured in spring\nlight\n" + text("r"), CURVE),
        (text("rgb"), THREE.T),
        (text("rgb", " ").replace("\n", " # of 3\n"), THREE.T),
        (text("rgb", ";"), THREE.T),
        (text("rgb", "\t"), THREE.T),
        ("R,G,B\n" + text("rgb"), THREE.T),
        ("Blue;Green;Red\n" + text("bgr", ";"), THREE.T),
        ("# g b r\n" + text("gbr", " "), THREE.T),
        ('"b","g","r"\n' + text("bgr"), THREE.T),
    ],
)
def test_tables_are_read_as_they_say(tmp_path: pathlib.Path, content: str, expected: np.ndarray) -> None:
    (tmp_path / "r.csv").write_text(content, encoding="utf-8")
    assert response_file.read(tmp_path / "r.csv") == pytest.approx(expected.reshape(-1).tolist(), abs=1e-11)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        text("rg").encode(),
        ("code,light\n" + text("r")).encode(),
        ("x,y,z\n" + text("rgb")).encode(),
        ("b,g,r\n" + text("r")).encode(),
        text("r").encode() + b"2\n",
        text("r").replace("1.000000000000", "nan").encode(),
        text("r").replace("1.000000000000", "1e400").encode(),
        "\n".join(str(np.log(1e-6 + value)) for value in CURVE).encode(),  # the logarithm of light
        "\n".join(str(255 - k) for k in range(256)).encode(),
        text("r").encode("utf-16"),
        b"\0" * 256,
        b"1 " * 600_000,
        b"9" * 5000 + b"\n" + text("r").encode(),
        b"\xff" * 20,
    ],
)
def test_what_is_no_table_is_a_sentence(tmp_path: pathlib.Path, content: bytes) -> None:
    (tmp_path / "r.csv").write_bytes(content)
    with pytest.raises(errors.InputError, match=r"r\.csv"):
        response_file.read(tmp_path / "r.csv")


def test_what_is_no_file(tmp_path: pathlib.Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(errors.InputError, match="is a "):
        response_file.read(tmp_path / "pipe")
    with pytest.raises(errors.SourceError):
        response_file.read(tmp_path / "none")
