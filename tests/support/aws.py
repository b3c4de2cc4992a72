"""AWS Secrets Manager over HTTP: moto's server where it is right, a fake for what fails."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

from tests.support.faulty import FaultyServer, Reply, Request

REGION = "us-east-1"
_JSON = {"Content-Type": "application/x-amz-json-1.1"}


def client(url: str) -> Any:
    """For the person who keeps the secrets."""
    return boto3.Session("person", "key", region_name=REGION).client(
        "secretsmanager", endpoint_url=url
    )


@contextmanager
def moto_running() -> Iterator[tuple[Any, str]]:
    """A client, and the address."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        _, port = server.get_host_and_port()
        url = f"http://127.0.0.1:{port}"
        yield client(url), url
    finally:
        server.stop()


def refusal(code: str, message: str = "", status: int = 400) -> Reply:
    """https://docs.aws.amazon.com/secretsmanager/latest/apireference/CommonErrors.html"""
    return Reply(status, json.dumps({"__type": code, "Message": message}).encode(), _JSON)


def result(body: Mapping[str, Any]) -> Reply:
    return Reply(200, json.dumps(body).encode(), _JSON)


class FakeAws(FaultyServer):
    """Answers each operation (`GetSecretValue`) with what is put under its name.

    For what moto does otherwise than the service, or not at all: throttling, KMS, expired
    credentials, statuses, binary that is none.
    """

    def __init__(self) -> None:
        super().__init__(self._reply)
        self.answers: dict[str, Reply] = {}

    def _reply(self, request: Request) -> Reply:
        return self.answers[request.headers["x-amz-target"].removeprefix("secretsmanager.")]


@contextmanager
def aws_running() -> Iterator[FakeAws]:
    aws = FakeAws()
    with aws.serving():
        yield aws
