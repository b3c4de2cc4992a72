"""Errors of AWS in our own words. The texts of AWS and of botocore can hold values."""

from __future__ import annotations

import re
from dataclasses import dataclass

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    MetadataRetrievalError,
    ParamValidationError,
    SSLError,
)
from botocore.exceptions import ConnectionError as NoConnection
from botocore.parsers import ResponseParserError

from rotator.config.models import AwsSource
from rotator.errors import (
    LoginDenied,
    PolicyDenied,
    SecretDeleted,
    SecretInvalid,
    SecretMissing,
    SourceError,
    SourceUnavailable,
    ValueUnavailable,
)
from rotator.sources.aws_names import arn_of
from rotator.sources.aws_wire import GaveUp


class Stale(LoginDenied):
    """The credentials themselves are refused. There may be newer ones."""


class NotPermitted(PolicyDenied):
    """No policy permits the operation, for this secret or at all."""


class KeyDenied(PolicyDenied):
    """Secrets Manager answers, but its key in KMS does not."""


_EXPIRED = "the AWS credentials {origin} have expired; put new ones there"
_UNKNOWN = "AWS does not know the access key {origin}; is it active, and of the right partition"
_SIGNATURE = "the signature is wrong; the secret access key {origin} is not that of the access key"
_STALE = {
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "InvalidClientTokenId": _UNKNOWN,
    "UnrecognizedClientException": _UNKNOWN,
    "InvalidSignatureException": _SIGNATURE,
    "SignatureDoesNotMatch": _SIGNATURE,
}
_REFUSED = {
    "MissingAuthenticationToken": "AWS wants the request signed; is there a proxy in between?",
    "MissingAuthenticationTokenException": "AWS wants the request signed; is there a proxy?",
    "OptInRequired": "the account is not signed up for the service",
    "RegionDisabledException": "STS is not active in this region for the account; activate it",
}
_CLOCK = {"RequestExpired", "RequestInTheFuture", "RequestTimeTooSkewed"}
_CLOCK_TEXTS = ("Signature expired", "Signature not yet current")
_DENIED = {"AccessDenied", "AccessDeniedException", "NotAuthorized"}
_CODE = re.compile(r"[A-Za-z0-9.]{1,64}")
_WEB_IDENTITY = "AssumeRoleWithWebIdentity"

_ORIGINS = {
    "env": "in the environment",
    "explicit": "under keys",
    "shared-credentials-file": "in the shared credentials file",
    "config-file": "in the shared configuration file",
    "assume-role": "of the role",
    "assume-role-with-web-identity": "of the web identity",
    "container-role": "of the container's credentials endpoint",
    "iam-role": "of the instance metadata service",
    "custom-process": "of credential_process",
}


def origin_of(method: str | None) -> str:
    """In words, where botocore found the credentials."""
    return _ORIGINS.get(method or "", "that were found")


@dataclass(frozen=True, slots=True)
class Errors:
    """Translates for one source."""

    name: str
    config: AwsSource

    def check(self, path: str) -> None:
        """Checks a path before it is sent. Raises SecretInvalid if this region can't know it."""
        arn = arn_of(path)
        if arn is not None and arn.region != self.config.region:
            raise SecretInvalid(
                self.name,
                path,
                f"it is in {arn.region}, but this source asks {self.config.region}; name it in a "
                f"source with region {arn.region}",
            )
        if arn is None and path.startswith("arn:"):
            raise SecretInvalid(
                self.name,
                path,
                "not the ARN of a secret; write arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME",
            )

    def of_login(self, path: str, error: Exception) -> SourceError:
        """The error for anything that botocore raises while it looks for credentials."""
        if isinstance(error, (ValueError, AttributeError, TypeError, KeyError)):
            return self._not_now(path)  # an endpoint that answers, but not as one of credentials
        return self.of(path, error)

    def of(self, path: str, error: Exception, origin: str = "that were found") -> SourceError:
        """The error for anything that a call of botocore raises."""
        name = self.name
        match error:
            case ClientError():
                said = error.response.get("Error", {})
                return self.of_code(
                    path,
                    str(error.operation_name),
                    str(said.get("Code", "")),
                    str(said.get("Message", "")),
                    origin,
                )
            case ValueUnavailable():
                return LoginDenied(name, path, str(error))
            case GaveUp():
                return SourceUnavailable(name, path, f"no answer of AWS: {error}")
            case ParamValidationError():
                return SecretInvalid(name, path, "not a name or ARN of a secret")
            case SSLError():
                return SourceUnavailable(
                    name,
                    path,
                    "the TLS certificate of AWS, or of a proxy, is not trusted; AWS_CA_BUNDLE "
                    "names other certificates",
                )
            case NoConnection() | HTTPClientError():
                kind = type(error).__name__
                return SourceUnavailable(name, path, f"no answer of AWS ({kind})")
            case CredentialRetrievalError() | MetadataRetrievalError():
                return self._not_now(path)
            case BotoCoreError() | OSError():
                return self._without_credentials(path, error)
            case ResponseParserError() | ValueError() | AttributeError() | TypeError() | KeyError():
                # botocore raises this for an answer that doesn't match the service's model.
                return self.strange(path)
            case RuntimeError():
                return LoginDenied(
                    name,
                    path,
                    f"new AWS credentials {origin} have expired already; is the clock of this "
                    "machine right?",
                )
            case _:
                raise error

    def of_code(
        self, path: str, operation: str, code: str, text: str, origin: str = "that were found"
    ) -> SourceError:
        """The error for a code. The status is 400 for nearly all, and only phrases of the text are
        safe."""
        name = self.name
        if _CODE.fullmatch(code) is None:
            code = "an unknown error"
        if code in _CLOCK or any(phrase in text for phrase in _CLOCK_TEXTS):
            return LoginDenied(
                name, path, f"the clock of this machine is wrong, by minutes; set it ({code})"
            )
        if operation == _WEB_IDENTITY:
            return self._web_identity(path, code)
        if code in _STALE:
            if operation == "AssumeRole":
                origin = "that the role is to be assumed with"
            return Stale(name, path, f"{_STALE[code].format(origin=origin)} ({code})")
        if operation == "AssumeRole" and code in _DENIED:
            role = self.config.assume_role.arn if self.config.assume_role else "the role"
            return LoginDenied(
                name,
                path,
                f"it may not assume {role}: the identity needs sts:AssumeRole, and the role must "
                f"trust it and its external_id ({code})",
            )
        if code in _REFUSED:
            return LoginDenied(name, path, f"{_REFUSED[code]} ({code})")
        if code == "DecryptionFailure":
            return KeyDenied(
                name,
                path,
                f"its KMS key does not decrypt it; is the key enabled, and does its policy permit "
                f"kms:Decrypt? ({code})",
            )
        if code in _DENIED:
            return self._denied(path, operation, code, text)
        return self._about_the_secret(path, code, text)

    def strange(self, path: str) -> SourceError:
        return SourceUnavailable(
            self.name,
            path,
            "an answer that is cut off, or not Secrets Manager's; is endpoint_url right?",
        )

    def _not_now(self, path: str) -> SourceError:
        return SourceUnavailable(
            self.name,
            path,
            "AWS credentials can't be had now from the endpoint, service or program that gives "
            "them; try again later",
        )

    def _denied(self, path: str, operation: str, code: str, text: str) -> SourceError:
        if "KMS" in text:
            return KeyDenied(
                self.name,
                path,
                f"the identity lacks kms:Decrypt for the KMS key of this secret ({code})",
            )
        if operation == "BatchGetSecretValue":
            missing = "the identity lacks secretsmanager:BatchGetSecretValue"
        else:
            missing = f"the identity lacks secretsmanager:{operation} for it, or it does not exist"
        forbidden = "; a policy denies it explicitly" if "explicit deny" in text else ""
        return NotPermitted(self.name, path, f"{missing}{forbidden} ({code})")

    def _about_the_secret(self, path: str, code: str, text: str) -> SourceError:
        deleted = "marked for deletion" in text or "marked deleted" in text
        match code:
            case "ResourceNotFoundException" if "secret value for" in text:
                return SecretMissing(
                    self.name, path, "it has no value: no such version, or none with the stage"
                )
            case "ResourceNotFoundException":
                return SecretMissing(
                    self.name,
                    path,
                    f"there is no such secret in {self.config.region}; another account's needs "
                    "its whole ARN",
                )
            case "InvalidRequestException" if deleted:
                return SecretDeleted(
                    self.name, path, "it is marked for deletion; restore it while that is possible"
                )
            case "InvalidRequestException" | "InvalidParameterException" | "ValidationException":
                return SecretInvalid(
                    self.name, path, f"AWS does not take this name, ARN, version or stage ({code})"
                )
            case _:
                return SourceUnavailable(self.name, path, f"AWS says {code}; try again later")

    def _web_identity(self, path: str, code: str) -> SourceError:
        configured = self.config.web_identity
        role = configured.role_arn if configured else "the role of AWS_ROLE_ARN"
        match code:
            case "IDPCommunicationError":
                return SourceUnavailable(
                    self.name, path, f"STS can't reach the identity provider ({code})"
                )
            case "ExpiredTokenException" | "ExpiredToken" | "InvalidIdentityToken":
                return LoginDenied(
                    self.name,
                    path,
                    "STS does not take the web identity token; is its file still renewed, and the "
                    f"identity provider known to the account? ({code})",
                )
            case _ if code in _DENIED or code == "IDPRejectedClaim":
                return LoginDenied(
                    self.name,
                    path,
                    f"it may not assume {role}: the role must trust this web identity ({code})",
                )
            case _:
                return SourceUnavailable(self.name, path, f"STS says {code}; try again later")

    def _without_credentials(self, path: str, error: Exception) -> SourceError:
        kind = type(error).__name__
        where = "environment, files or metadata service"
        if self.config.profile is not None:
            where = f"the profile {self.config.profile}"
        file = getattr(error, "filename", None)
        return LoginDenied(
            self.name,
            path,
            f"no usable AWS credentials in {where} ({kind}{f' at {file}' if file else ''})",
        )
