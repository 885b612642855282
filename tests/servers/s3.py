"""An object store that speaks S3, in this process: moto's server and an empty bucket."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_numbers = itertools.count()


@dataclass(frozen=True)
class S3Store:
    """A running store with one empty bucket.

    Attributes:
        endpoint: its address.
        bucket: the bucket's name.
    """

    endpoint: str
    bucket: str

    @property
    def url(self) -> str:
        """The bucket as fsspec writes it."""
        return f"s3://{self.bucket}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that let any S3 client in this process or a child find it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "key-of-the-tests",
            "AWS_SECRET_ACCESS_KEY": "secret-of-the-tests",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",  # no key server of a cloud is asked
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    @property
    def options(self) -> dict[str, Any]:
        """The same as arguments: `fsspec.filesystem("s3", **store.options)`."""
        return {
            "key": "key-of-the-tests",
            "secret": "secret-of-the-tests",
            "client_kwargs": {"endpoint_url": self.endpoint, "region_name": "us-east-1"},
            "skip_instance_cache": True,
        }


@contextlib.contextmanager
def s3_store() -> Iterator[S3Store]:
    """Start a store with an empty bucket; needs `moto[s3]`, `flask`, `flask-cors` and `s3fs`.

    A test sets the store's `environment`, or gives its `options` to fsspec.
    """
    import boto3
    import s3fs
    from moto.server import ThreadedMotoServer

    # Its requests are none of what the tested program prints.
    log = logging.getLogger("werkzeug")
    level = log.level
    log.setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        store = S3Store(f"http://{host}:{port}", f"bucket-{os.getpid()}-{next(_numbers)}")
        client = boto3.client(
            "s3",
            endpoint_url=store.endpoint,
            region_name="us-east-1",
            aws_access_key_id="key-of-the-tests",
            aws_secret_access_key="secret-of-the-tests",
        )
        client.create_bucket(Bucket=store.bucket)
        client.close()
        # File systems are kept by their arguments, which do not tell the endpoint.
        s3fs.S3FileSystem.clear_instance_cache()
        yield store
    finally:
        s3fs.S3FileSystem.clear_instance_cache()
        server.stop()
        log.setLevel(level)
