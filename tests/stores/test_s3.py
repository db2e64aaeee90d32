"""What names, variables and refusals of object stores mean; no store is asked."""

import errno
import pathlib
from typing import Any

import pytest

from blursynth import errors
from blursynth.stores import s3, store


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID"):
        monkeypatch.delenv(name, raising=False)


def test_one_name_for_one_place() -> None:
    assert store.normalise("s3://bucket//data/pairs.zarr/") == "s3://bucket/data/pairs.zarr"
    assert store.parent("s3://bucket/data/pairs.zarr") == ("s3://bucket/data", "pairs.zarr")
    assert store.parent("s3://bucket/pairs.zarr") == ("s3://bucket", "pairs.zarr")
    assert s3.spec("s3://bucket")["path"] == ""
    assert store.kvstore_spec("s3://bucket/data/pairs.zarr", "sharp")["path"] == "data/pairs.zarr/sharp/"


@pytest.mark.parametrize("path", ["s3://", "s3://bucket", "s3://bucket/", "s3://b/a", "s3://Bucket/a", "s3:///a"])
def test_places_that_are_none(path: str) -> None:
    with pytest.raises(errors.DatasetError, match="expected s3://BUCKET/NAME"):
        store.normalise(path)


@pytest.mark.parametrize("path", ["gs://bucket/a", "file:///a", "S3://bucket/a", "s3:/bucket/a", "https://host/a"])
def test_addresses_of_other_kinds_are_no_folders(path: str) -> None:
    with pytest.raises(errors.DatasetError, match="expected a path, or s3://BUCKET/NAME"):
        store.normalise(path)


def test_a_file_is_written_whole_and_folders_are_made(tmp_path: pathlib.Path) -> None:
    store.write_file(tmp_path / "about" / "a.html", b"first")
    store.write_file(tmp_path / "about" / "a.html", b"page")
    assert [(each.name, each.read_bytes()) for each in (tmp_path / "about").iterdir()] == [("a.html", b"page")]
    with pytest.raises(errors.StorageError, match=r"Could not write about .*: Is a directory"):
        store.write_file(tmp_path / "about", b"page")
    assert not [each for each in tmp_path.iterdir() if each.is_file()]


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, {}),
        ({"AWS_DEFAULT_REGION": "eu-west-1"}, {"aws_region": "eu-west-1"}),
        ({"AWS_DEFAULT_REGION": "eu-west-1", "AWS_REGION": "eu-west-2"}, {"aws_region": "eu-west-2"}),
        ({"AWS_ENDPOINT_URL": "http://minio:9000"}, {"endpoint": "http://minio:9000", "aws_region": "us-east-1"}),
        (
            {"AWS_ENDPOINT_URL": "http://a", "AWS_ENDPOINT_URL_S3": "http://b", "AWS_REGION": "x"},
            {"endpoint": "http://b", "aws_region": "x"},
        ),
        ({"AWS_ACCESS_KEY_ID": "key"}, {"aws_credentials": {"type": "environment"}}),
    ],
)
def test_the_usual_variables(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: dict[str, Any]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    spec = s3.spec("s3://bucket/a")
    known = {"driver": "s3", "bucket": "bucket", "path": "a/", "s3_request_retries": s3.RETRIES}
    assert spec == known | expected


@pytest.mark.parametrize(
    ("text", "words", "number"),
    [
        (
            "NOT_FOUND: NoSuchBucket: The specified bucket does not exist [http_response_code='404'] [a='b']",
            "no such bucket",
            errno.ENOENT,
        ),
        ("PERMISSION_DENIED: Forbidden [http_response_code='403']", "refuses these credentials (403", errno.EACCES),
        (
            "PERMISSION_DENIED: x [http_response_body='<Error><Code>SignatureDoesNotMatch</Code>']",
            "refuses these credentials (SignatureDoesNotMatch",
            errno.EACCES,
        ),
        (
            "ABORTED: All 8 retry attempts failed: CURL error Could not connect to server [curl_code='7']",
            "did not answer, or asked to wait, every time (CURL error Could not connect to server)",
            None,
        ),
        ("DATA_LOSS: something else [source locations='x']", "DATA_LOSS: something else", None),
    ],
)
def test_refusals_in_words(text: str, words: str, number: int | None) -> None:
    said, found = s3.reason(text)
    assert words in said
    assert "[" not in said
    assert found == number
