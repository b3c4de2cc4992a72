"""AWS Secrets Manager, over boto3."""

from __future__ import annotations

import threading
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
from botocore.exceptions import BotoCoreError, ClientError

from rotator.config.models import AssumeRole, AwsSource
from rotator.errors import (
    SecretInvalid,
    SecretMissing,
    SourceDenied,
    SourceError,
    SourceUnavailable,
)
from rotator.model import Secret, SecretRef
from rotator.sources.text import NotAnObject, json_object

STAGE = "AWSCURRENT"
"""Always named: policies that have a condition on the stage refuse the implicit default."""

_MAY_NOT = "the identity may not read it (GetSecretValue, DescribeSecret), or it is absent"
_DENIED = {
    "AccessDenied": _MAY_NOT,
    "AccessDeniedException": _MAY_NOT,
    "DecryptionFailure": "its KMS key does not decrypt it; the identity needs kms:Decrypt",
    "ExpiredToken": "the AWS credentials have expired",
    "ExpiredTokenException": "the AWS credentials have expired",
    "UnrecognizedClientException": "AWS does not know the access key",
    "InvalidClientTokenId": "AWS does not know the access key",
    "InvalidSignatureException": "the signature is wrong: secret key, or the clock of this machine",
    "RequestExpired": "the clock of this machine is wrong",
}
_TRANSIENT = frozenset(
    {
        "InternalFailure",
        "InternalServiceError",
        "LimitExceededException",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)


class AwsReader:
    """One client, made under a lock: it is thread-safe, the session that makes it is not."""

    def __init__(self, name: str, config: AwsSource) -> None:
        self._name = name
        self._config = config
        self._lock = threading.Lock()
        self._made: Any = None

    def close(self) -> None:
        if self._made is not None:
            self._made.close()

    def read(self, ref: SecretRef) -> Secret:
        answer = self._ask(ref, "get_secret_value", SecretId=ref.path, VersionStage=STAGE)
        text, version = answer.get("SecretString"), answer.get("VersionId")
        if not isinstance(text, str):
            raise SecretInvalid(self._name, ref.path, "it is binary; store it as text or JSON")
        if not isinstance(version, str):
            raise SourceUnavailable(self._name, ref.path, "an answer without a VersionId")
        return Secret(ref, version, self._fields(ref, text))

    def probe(self, ref: SecretRef) -> str:
        answer = self._ask(ref, "describe_secret", SecretId=ref.path)
        if answer.get("DeletedDate") is not None:
            raise SecretMissing(self._name, ref.path, "it is marked for deletion")
        stages = answer.get("VersionIdsToStages") or {}
        for version, labels in stages.items():
            if STAGE in labels:
                return str(version)
        raise SecretMissing(self._name, ref.path, f"no version is labelled {STAGE}")

    def _fields(self, ref: SecretRef, text: str) -> dict[str, object]:
        """JSON objects have fields; any other text is the one field `value`."""
        if not text.lstrip().startswith("{"):
            return {"value": text}
        try:
            return json_object(text)
        except NotAnObject as wrong:
            raise SecretInvalid(self._name, ref.path, str(wrong)) from None

    def _ask(self, ref: SecretRef, operation: str, **parameters: str) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = getattr(self._client(), operation)(**parameters)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            message = str(error.response.get("Error", {}).get("Message", ""))
            raise self._error(ref, code, message) from None
        except BotoCoreError as error:
            kind = type(error).__name__
            if kind in {"NoCredentialsError", "PartialCredentialsError", "TokenRetrievalError"}:
                raise SourceDenied(
                    self._name, ref.path, "no AWS credentials in the usual places"
                ) from None
            if kind == "ParamValidationError":
                raise SecretInvalid(self._name, ref.path, "not a name or ARN of a secret") from None
            raise SourceUnavailable(self._name, ref.path, f"no answer of AWS ({kind})") from None
        return answer

    def _error(self, ref: SecretRef, code: str, message: str) -> SourceError:
        if code == "ResourceNotFoundException":
            what = "it has no value" if "staging label" in message else "there is no such secret"
            return SecretMissing(
                self._name, ref.path, f"{what} in {self._config.region} (or the ARN is incomplete)"
            )
        if code in {"InvalidRequestException", "InvalidParameterException"}:
            marked = "marked for deletion" in message or "marked deleted" in message
            words = "it is marked for deletion" if marked else f"AWS says {code}"
            return SecretMissing(self._name, ref.path, words)
        if code in _DENIED:
            return SourceDenied(self._name, ref.path, f"{_DENIED[code]} ({code})")
        if code in _TRANSIENT:
            return SourceUnavailable(self._name, ref.path, f"AWS says {code}; try again later")
        return SourceUnavailable(self._name, ref.path, f"AWS says {code or 'nothing'}")

    def _client(self) -> Any:
        with self._lock:
            if self._made is None:
                self._made = self._session().client(
                    "secretsmanager",
                    region_name=self._config.region,
                    endpoint_url=self._config.endpoint_url,
                    config=self._options(),
                )
            return self._made

    def _options(self) -> Config:
        # The source's own deadline is the outer one; these keep a thread from hanging for minutes.
        timeout = self._config.timeout.total_seconds()
        return Config(
            connect_timeout=min(3.0, timeout),
            read_timeout=timeout,
            retries={"mode": "standard", "total_max_attempts": 3},
            max_pool_connections=16,
        )

    def _session(self) -> Any:
        session = botocore.session.Session()
        if self._config.assume_role is not None:
            session._credentials = self._assumed(session, self._config.assume_role)  # noqa: SLF001
        return boto3.Session(botocore_session=session, region_name=self._config.region)

    def _assumed(self, session: Any, role: AssumeRole) -> Any:
        """Credentials that renew themselves; boto3 has no public way to hand them over."""
        arguments = {"RoleSessionName": role.session_name}
        if role.external_id is not None:
            arguments["ExternalId"] = role.external_id

        def regional(service: str, **options: Any) -> Any:
            options["region_name"] = self._config.region
            return session.create_client(service, config=self._options(), **options)

        fetcher = AssumeRoleCredentialFetcher(
            client_creator=regional,
            source_credentials=session.get_credentials(),
            role_arn=role.arn,
            extra_args=arguments,
        )
        return DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")
