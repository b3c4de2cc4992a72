"""AWS Secrets Manager, over boto3."""

from __future__ import annotations

import re
import threading
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import (
    AssumeRoleCredentialFetcher,
    CredentialProvider,
    CredentialResolver,
    DeferredRefreshableCredentials,
)
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    ParamValidationError,
)
from botocore.exceptions import ConnectionError as NoConnection
from botocore.parsers import ResponseParserError

from rotator.config.models import AssumeRole, AwsSource
from rotator.errors import (
    SecretInvalid,
    SecretMissing,
    SourceDenied,
    SourceError,
    SourceUnavailable,
)
from rotator.model import Probe, Secret, SecretRef
from rotator.sources.reader import Reader
from rotator.sources.text import NotAnObject, json_object

STAGE = "AWSCURRENT"
"""Always named: policies that have a condition on the stage refuse the implicit default."""

_CONNECT = 3.0
_ATTEMPTS = 3

_STALE = {
    "ExpiredToken": "the AWS credentials have expired",
    "ExpiredTokenException": "the AWS credentials have expired",
    "InvalidClientTokenId": "AWS does not know the access key",
    "UnrecognizedClientException": "AWS does not know the access key",
}
"""Of credentials that may have been replaced: a session reads environment and files only once."""
_MAY_NOT = (
    "the identity lacks secretsmanager:GetSecretValue or secretsmanager:DescribeSecret for it, "
    "or it does not exist"
)
_DENIED = {
    **_STALE,
    "AccessDenied": _MAY_NOT,
    "AccessDeniedException": _MAY_NOT,
    "DecryptionFailure": "its KMS key does not decrypt it; the identity needs kms:Decrypt",
    "InvalidSignatureException": "the signature is wrong: secret key, or the clock of this machine",
    "OptInRequired": "the account is not signed up for the service",
    "RequestExpired": "the clock of this machine is wrong",
    "SignatureDoesNotMatch": "the signature is wrong: secret key, or the clock of this machine",
}
_CODE = re.compile(r"[A-Za-z0-9.]{1,64}")


class AwsReader(Reader):
    """One client, made under a lock: it is thread-safe, the session that makes it is not."""

    def __init__(self, name: str, config: AwsSource) -> None:
        self._name = name
        self._config = config
        self._lock = threading.Lock()
        self._made: Any = None

    def close(self) -> None:
        with self._lock:
            made, self._made = self._made, None
        if made is not None:
            made.close()

    def read(self, ref: SecretRef) -> Secret:
        answer = self._ask(ref, "get_secret_value", SecretId=ref.path, VersionStage=STAGE)
        text, version = answer.get("SecretString"), answer.get("VersionId")
        if not isinstance(version, str) or not version:
            raise self._strange(ref)
        if "SecretBinary" in answer:
            raise SecretInvalid(self._name, ref.path, "it is binary; store it as text or JSON")
        if not isinstance(text, str):
            raise SecretMissing(self._name, ref.path, "it has no value")
        return Secret(ref, version, self._fields(ref, text))

    def probe(self, ref: SecretRef) -> Probe:
        answer = self._ask(ref, "describe_secret", SecretId=ref.path)
        if answer.get("DeletedDate") is not None:
            raise SecretMissing(self._name, ref.path, "it is marked for deletion")
        if "ARN" not in answer:
            raise self._strange(ref)
        for version, labels in (answer.get("VersionIdsToStages") or {}).items():
            if STAGE in labels:
                return Probe(str(version))
        raise SecretMissing(self._name, ref.path, f"it has no value: no version is {STAGE}")

    def _fields(self, ref: SecretRef, text: str) -> dict[str, object]:
        """A JSON object has fields; any other text is the one field `value`."""
        if not text.lstrip().startswith("{"):
            return {"value": text}
        try:
            return json_object(text)
        except NotAnObject as wrong:
            raise SecretInvalid(self._name, ref.path, str(wrong)) from None

    # Requests

    def _ask(self, ref: SecretRef, operation: str, **parameters: str) -> dict[str, Any]:
        """Once more with a new session, where it is the credentials that are refused as stale."""
        client = self._client(ref)
        try:
            return self._answer(ref, client, operation, parameters)
        except _Stale:
            self._forget(client)
            return self._answer(ref, self._client(ref), operation, parameters)

    def _answer(
        self, ref: SecretRef, client: Any, operation: str, parameters: dict[str, str]
    ) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = getattr(client, operation)(**parameters)
        except ClientError as error:
            raise self._refusal(ref, error) from None
        except ParamValidationError:
            raise SecretInvalid(self._name, ref.path, "not a name or ARN of a secret") from None
        except (NoConnection, HTTPClientError) as error:
            kind = type(error).__name__
            raise SourceUnavailable(self._name, ref.path, f"no answer of AWS ({kind})") from None
        except (ResponseParserError, ValueError, AttributeError):
            # What botocore makes of an answer that is not as the service's model has it.
            raise self._strange(ref) from None
        except (BotoCoreError, OSError) as error:
            raise self._without_credentials(ref, error) from None
        return answer

    def _refusal(self, ref: SecretRef, error: ClientError) -> SourceError:
        """By the code: the status is 400 for nearly all, and only phrases of the text are safe."""
        said = error.response.get("Error", {})
        code, text = str(said.get("Code", "")), str(said.get("Message", ""))
        if _CODE.fullmatch(code) is None:
            code = "an unknown error"
        name, path = self._name, ref.path
        if error.operation_name == "AssumeRole" and code not in _STALE:
            role = self._config.assume_role.arn if self._config.assume_role else "the role"
            return SourceDenied(name, path, f"it may not assume {role} ({code})")
        if code in _STALE:
            return _Stale(name, path, f"{_STALE[code]} ({code})")
        if code in _DENIED:
            return SourceDenied(name, path, f"{_DENIED[code]} ({code})")
        marked = "marked for deletion" in text or "marked deleted" in text
        match code:
            case "ResourceNotFoundException" if "staging label" in text:
                return SecretMissing(name, path, f"it has no value: no version is {STAGE}")
            case "ResourceNotFoundException":
                return SecretMissing(
                    name,
                    path,
                    f"there is no such secret in {self._config.region}; another account's needs "
                    "its whole ARN",
                )
            case "InvalidRequestException" if marked:
                return SecretMissing(name, path, "it is marked for deletion")
            case "InvalidRequestException" | "InvalidParameterException" | "ValidationException":
                return SecretInvalid(name, path, f"AWS does not take this name or ARN ({code})")
            case _:
                return SourceUnavailable(name, path, f"AWS says {code}; try again later")

    def _strange(self, ref: SecretRef) -> SourceError:
        return SourceUnavailable(
            self._name,
            ref.path,
            "an answer that is cut off, or not Secrets Manager's; is endpoint_url right?",
        )

    def _without_credentials(self, ref: SecretRef, error: Exception) -> SourceError:
        kind = type(error).__name__
        return SourceDenied(
            self._name,
            ref.path,
            f"no usable AWS credentials in environment, files or metadata service ({kind})",
        )

    # The session

    def _client(self, ref: SecretRef) -> Any:
        with self._lock:
            if self._made is None:
                try:
                    self._made = self._session().client(
                        "secretsmanager",
                        endpoint_url=self._config.endpoint_url,
                        config=self._options(),
                    )
                except (BotoCoreError, ValueError, OSError) as error:
                    raise self._without_credentials(ref, error) from None
            return self._made

    def _forget(self, client: Any) -> None:
        with self._lock:
            if self._made is client:
                self._made = None

    def _options(self) -> Config:
        # The source's own deadline is the outer one; these keep a thread from hanging for minutes.
        timeout = self._config.timeout.total_seconds()
        return Config(
            connect_timeout=min(_CONNECT, timeout),
            read_timeout=timeout,
            retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
            max_pool_connections=16,
        )

    def _session(self) -> Any:
        session = botocore.session.Session()
        if self._config.assume_role is not None:
            provider = _Provider(self._assumed(self._config.assume_role))
            session.register_component("credential_provider", CredentialResolver([provider]))
        return boto3.Session(botocore_session=session, region_name=self._config.region)

    def _assumed(self, role: AssumeRole) -> Any:
        """Credentials that renew themselves, by the identity that the usual chain finds."""
        session = botocore.session.Session()  # of its own: a session keeps what it once found
        found = session.get_credentials()
        if found is None:
            raise NoCredentialsError
        arguments = {"RoleSessionName": role.session_name}
        if role.external_id is not None:
            arguments["ExternalId"] = role.external_id

        def regional(service: str, **options: Any) -> Any:
            options["region_name"] = self._config.region
            return session.create_client(service, config=self._options(), **options)

        fetcher = AssumeRoleCredentialFetcher(
            client_creator=regional,
            source_credentials=found,
            role_arn=role.arn,
            extra_args=arguments,
        )
        return DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")


class _Stale(SourceDenied):
    """The credentials themselves are refused."""


class _Provider(CredentialProvider):  # type: ignore[misc] # botocore ships no types
    """The way in for credentials that botocore's own chain can't be configured to make."""

    METHOD = "assume-role"

    def __init__(self, credentials: Any) -> None:
        super().__init__()
        self._credentials = credentials

    def load(self) -> Any:
        return self._credentials
