"""AWS over HTTP: moto's server for the straight path, a fake for what moto does otherwise."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import boto3
from moto.server import ThreadedMotoServer

from tests.support.aws_secrets import ACCOUNT, REGION, Refusal, Secrets
from tests.support.aws_sts import Key, Sts, refusal_xml
from tests.support.faulty import FaultyServer, Reply, Request

__all__ = ["ACCOUNT", "REGION", "FakeAws", "aws_running", "client", "moto_running", "refusal"]

_JSON = {"Content-Type": "application/x-amz-json-1.1"}
_XML = {"Content-Type": "text/xml"}


def client(url: str) -> Any:
    """A boto3 client for the person who keeps the secrets."""
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
    """Secrets Manager, STS and the credentials endpoint of a container, at one address.

    It takes no request that is not signed with a key that it handed out.
    """

    def __init__(self) -> None:
        super().__init__(self._reply)
        self.ahead = timedelta(0)
        """How far AWS's clock is ahead of the clients'."""
        self.secrets = Secrets(lambda: self._now().timestamp())
        self.sts = Sts(self._now)
        self.pod_token: str | None = None
        """The token that the credentials endpoint requires."""
        self.pod_arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/pod/eks"
        self.asked: list[tuple[str, str]] = []
        """Operation, and the ARN of the identity that it was taken from."""
        self._instead: list[tuple[str, Reply]] = []

    def refuse(self, operation: str, reply: Reply, times: int = 1) -> None:
        """Answers an operation with `reply`, before anything else is checked."""
        self._instead += [(operation, reply)] * times

    def operations(self) -> list[str]:
        return [operation for operation, _ in self.asked]

    def _now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def _reply(self, request: Request) -> Reply:
        if request.method == "GET":
            return self._credentials(request)
        target = request.headers.get("x-amz-target")
        form = dict(parse_qsl(request.body.decode())) if target is None else {}
        operation = form.get("Action", "") or str(target).removeprefix("secretsmanager.")
        for planned in self._instead:
            if planned[0] == operation:
                self._instead.remove(planned)
                return planned[1]
        return self._sts(form, request) if form else self._secrets(operation, request)

    def _secrets(self, operation: str, request: Request) -> Reply:
        try:
            key = self.sts.signer(request)
            self.asked.append((operation, key.arn))
            account = key.arn.split(":")[4]
            return result(self.secrets.perform(operation, json.loads(request.body), account))
        except Refusal as refused:
            return refusal(refused.code, refused.message)

    def _sts(self, form: Mapping[str, str], request: Request) -> Reply:
        try:
            return Reply(200, self.sts.perform(form, request).encode(), _XML)
        except Refusal as refused:
            return Reply(403, refusal_xml(refused).encode(), _XML)

    def _credentials(self, request: Request) -> Reply:
        """https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html"""
        if self.pod_token is None or request.headers.get("authorization") != self.pod_token:
            return Reply(401, b'{"code": "AccessDenied", "message": "no"}')
        key = self.sts.hand_out(self.pod_arn, temporary=True)
        return Reply(200, json.dumps(_shown(key)).encode())


def _shown(key: Key) -> dict[str, str | None]:
    return {
        "AccessKeyId": key.id,
        "SecretAccessKey": key.secret,
        "Token": key.token,
        "Expiration": key.expires.isoformat() if key.expires else None,
    }


@contextmanager
def aws_running() -> Iterator[FakeAws]:
    aws = FakeAws()
    with aws.serving():
        yield aws
