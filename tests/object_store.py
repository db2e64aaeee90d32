"""A real S3-compatible server (moto's) on loopback, which can be told to refuse, to drop connections and to be slow."""

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import boto3
import botocore.config
import moto.server
import werkzeug.serving

BUCKET = "pairs-bucket"
Answer = Callable[..., Any]


class _Quiet(werkzeug.serving.WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002
        """Nothing: a test's output is its own."""


class Faults:
    """What goes wrong, and how often. `requests`: method and path of each request that came."""

    def __init__(self, application: Callable[[dict[str, Any], Answer], Iterable[bytes]]) -> None:
        self._application = application
        self._lock = threading.Lock()
        self._rules: list[tuple[str, str, int, float]] = []
        self._counts: dict[int, int] = {}
        self.requests: list[str] = []
        self.harmed = 0

    def add(self, kind: str, matching: str = "", every: int = 1, seconds: float = 0.0) -> None:
        """kind: refuse (503 SlowDown), deny (403), drop (before it is done), lose (after it is done), slow. matching:
        expression for `METHOD /path`. every: of the requests that match, every n-th.
        """
        self._rules.append((kind, matching, every, seconds))

    def clear(self) -> None:
        self._rules.clear()
        self._counts.clear()
        self.requests.clear()
        self.harmed = 0

    def __call__(self, environ: dict[str, Any], start_response: Answer) -> Iterable[bytes]:
        kind, seconds = self._due(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
        if kind == "slow":
            time.sleep(seconds)
        if kind == "refuse":
            return _error(start_response, "503 Slow Down", "SlowDown")
        if kind == "deny":
            return _error(start_response, "403 Forbidden", "InvalidAccessKeyId")
        if kind == "drop":
            return self._drop(environ)
        answer = self._application(environ, start_response)
        if kind == "lose":
            list(answer)
            return self._drop(environ)
        return answer

    def _due(self, request: str) -> tuple[str, float]:
        with self._lock:
            self.requests.append(request)
            for number, (kind, matching, every, seconds) in enumerate(self._rules):
                if re.search(matching, request):
                    self._counts[number] = self._counts.get(number, 0) + 1
                    if self._counts[number] % every == 0:
                        self.harmed += 1
                        return kind, seconds
        return "", 0.0

    @staticmethod
    def _drop(environ: dict[str, Any]) -> Iterable[bytes]:
        with contextlib.suppress(OSError):
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        raise ConnectionAbortedError


def _error(start_response: Answer, status: str, code: str) -> Iterable[bytes]:
    body = (
        f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>as told</Message></Error>".encode()
    )
    start_response(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
    return [body]


class Store:
    """The server: its address, its faults, and a client of its own."""

    def __init__(self, address: str, faults: Faults) -> None:
        self.address = address
        self.faults = faults
        config = botocore.config.Config(s3={"addressing_style": "path"})
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
        self.client = boto3.client("s3", endpoint_url=address, config=config, **keys)

    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.address,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }

    def contents(self, prefix: str) -> dict[str, bytes]:
        """Every object below a prefix."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{prefix}/")
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        return {
            key.removeprefix(f"{prefix}/"): self.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
            for key in keys
        }

    def put(self, key: str, data: bytes) -> None:
        self.client.put_object(Bucket=BUCKET, Key=key, Body=data)

    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket=BUCKET, Key=key)


@contextlib.contextmanager
def served() -> Iterator[Store]:
    """A server with an empty bucket."""
    faults = Faults(moto.server.DomainDispatcherApplication(moto.server.create_backend_app))
    server = werkzeug.serving.make_server("127.0.0.1", 0, faults, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    store = Store(f"http://127.0.0.1:{server.server_port}", faults)
    try:
        store.client.create_bucket(Bucket=BUCKET)
        yield store
    finally:
        store.client.close()
        server.shutdown()
        thread.join()
        server.server_close()
