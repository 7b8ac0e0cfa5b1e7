"""An object store of the S3 kind on the loopback, for the tests of the store's contract."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

_SETTINGS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@pytest.fixture(scope="session")
def bucket() -> Iterator[str]:
    """The address of an empty bucket of a server on 127.0.0.1."""
    pytest.importorskip("s3fs", reason="s3fs is not installed (extra dev)")
    server_module = pytest.importorskip("moto.server", reason="moto[server] is not installed (extra dev)")
    import s3fs

    server = server_module.ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    before = {name: os.environ.get(name) for name in (*_SETTINGS, "AWS_ENDPOINT_URL")}
    os.environ.update(_SETTINGS, AWS_ENDPOINT_URL=f"http://{host}:{port}")
    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem().mkdir("forex-slices")
    yield "s3://forex-slices"
    server.stop()
    s3fs.S3FileSystem.clear_instance_cache()
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
