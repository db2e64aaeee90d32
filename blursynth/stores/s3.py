"""Datasets in object stores: `s3://BUCKET/PREFIX`, with what the usual environment variables say.

AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL: a store that is not Amazon's (MinIO, Ceph, R2, ...). AWS_REGION or
AWS_DEFAULT_REGION. AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN); else what else there is: the
profile's files, the machine's role.

Nothing here depends on renaming, which object stores do not have: an object appears whole when it is written, and a
write may be made conditional on there being none.
"""

import errno
import os
import re
from typing import Any

from blursynth import errors

SCHEME = "s3://"

# A store that throttles or drops is asked again, with pauses that double: for about a minute in all. What fails
# then is reported, and a shard is tried again when the others are done.
RETRIES: dict[str, Any] = {"max_retries": 8, "initial_delay": "500ms", "max_delay": "16s"}

_REFUSED = ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "Forbidden")
_CODE = re.compile(r"<Code>(\w+)</Code>|^\w+: (NoSuchBucket|\w+Denied)\b")
_STATUS = re.compile(r"http_response_code='(\d+)'")


def is_remote(path: str) -> bool:
    return path.startswith(SCHEME)


def normalise(path: str) -> str:
    """One name for one place. Raises DatasetError where no bucket, or nothing in it, is named."""
    bucket, _, prefix = path.removeprefix(SCHEME).partition("/")
    parts = [part for part in prefix.split("/") if part]
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{1,253}[a-z0-9]", bucket) or not parts:
        raise errors.DatasetError(f"{path} does not name a place in a bucket; expected {SCHEME}BUCKET/NAME.")
    if {".", ".."} & set(parts):
        raise errors.DatasetError(f"{path} has . or .. in it, which mean nothing in an object store; leave them out.")
    return f"{SCHEME}{bucket}/{'/'.join(parts)}"


def spec(path: str, *names: str) -> dict[str, Any]:
    """The tensorstore specification of a place in a bucket."""
    bucket, _, prefix = path.removeprefix(SCHEME).partition("/")
    made: dict[str, Any] = {
        "driver": "s3",
        "bucket": bucket,
        "path": "".join(f"{part}/" for part in (prefix, *names) if part),
        "s3_request_retries": RETRIES,
    }
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if endpoint:
        made |= {"endpoint": endpoint, "aws_region": region or "us-east-1"}
    elif region:
        made["aws_region"] = region
    if os.environ.get("AWS_ACCESS_KEY_ID"):
        # Named, so that files and the machine's role are not looked for, which takes seconds where there are none.
        made["aws_credentials"] = {"type": "environment"}
    return made


def reason(text: str) -> tuple[str, int | None]:
    """What a store's refusal means, in words, and the system's number for the like (see `StorageError.lasts`)."""
    code = next((found for match in _CODE.finditer(text) for found in match.groups() if found), "")
    status = (_STATUS.search(text) or [None, ""])[1]
    if "NoSuchBucket" in (code, text.partition(":")[2].strip().partition(":")[0]):
        return "there is no such bucket (make it first)", errno.ENOENT
    if code in _REFUSED or status in ("401", "403"):
        return (
            f"the store refuses these credentials ({code or status}; see AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, "
            "AWS_PROFILE)"
        ), errno.EACCES
    if "retry attempts failed" in text:
        detail = re.sub(r"\s*\[[\w -]+=.*", "", text.partition("failed: ")[2], flags=re.DOTALL)
        return f"the store did not answer, or asked to wait, every time ({detail[:200]})", None
    return re.sub(r"\s*\[[\w -]+=.*", "", text, flags=re.DOTALL)[:300], None
