"""Who may ask AWS: access keys, signatures, and the roles that STS lets somebody take.

https://docs.aws.amazon.com/STS/latest/APIReference/Welcome.html
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from xml.sax.saxutils import escape

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.support.aws_secrets import ACCOUNT, Refusal
from tests.support.faulty import Request

_SKEW = timedelta(minutes=5)
"""How far clocks may differ before AWS refuses a signature."""


@dataclass(slots=True)
class Key:
    id: str
    secret: str
    arn: str
    token: str | None = None
    expires: datetime | None = None


@dataclass(frozen=True, slots=True)
class Assumed:
    """One role that was assumed."""

    role: str
    session_name: str
    external_id: str | None
    by: str
    """The ARN of the identity, or the web identity token."""


@dataclass(slots=True)
class Sts:
    now: Callable[[], datetime]
    keys: dict[str, Key] = field(default_factory=dict)
    roles: dict[str, str | None] = field(default_factory=dict)
    """ARN → the external id that it wants."""
    web_tokens: dict[str, str] = field(default_factory=dict)
    """Token → the role that trusts it; or the code of the error that it gets."""
    lifetime: timedelta = timedelta(hours=1)
    assumed: list[Assumed] = field(default_factory=list)

    def hand_out(self, arn: str, *, temporary: bool = False) -> Key:
        """Made like AWS's keys: AKIA for good, ASIA for a while and with a token."""
        part = uuid.uuid4().hex[:16].upper()
        key = Key(("ASIA" if temporary else "AKIA") + part, f"secret-of-{part}", arn)
        if temporary:
            key.token = f"token-of-{part}"
            key.expires = self.now() + self.lifetime
        self.keys[key.id] = key
        return key

    def signer(self, request: Request) -> Key:
        """Raises Refusal with the codes of Secrets Manager; those of STS are its own."""
        said = request.headers.get("authorization", "")
        if not said.startswith("AWS4-HMAC-SHA256 "):
            raise Refusal("MissingAuthenticationTokenException", "Missing Authentication Token")
        parts = dict(part.strip().split("=", 1) for part in said.split(" ", 1)[1].split(","))
        key_id, _, region, service, _ = parts["Credential"].split("/")
        key = self.keys.get(key_id)
        if key is None or request.headers.get("x-amz-security-token") != key.token:
            raise Refusal("UnrecognizedClientException", "The security token is invalid.")
        stamp = request.headers["x-amz-date"]
        signed_at = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        if abs(self.now() - signed_at) > _SKEW:
            raise Refusal("InvalidSignatureException", f"Signature expired: {stamp} is now earlier")
        if parts["Signature"] != _signature(request, key, region, service, stamp, parts):
            raise Refusal("InvalidSignatureException", "The signature does not match.")
        if key.expires is not None and key.expires <= self.now():
            raise Refusal("ExpiredTokenException", "The security token has expired")
        return key

    def perform(self, form: Mapping[str, str], request: Request) -> str:
        """The answer's XML. Raises Refusal."""
        action = form["Action"]
        if action == "AssumeRoleWithWebIdentity":
            token, role = form["WebIdentityToken"], form["RoleArn"]
            trusted = self.web_tokens.get(token, "InvalidIdentityToken")
            if trusted != role:
                raise Refusal("AccessDenied" if trusted in self.roles else trusted)
            return self._take(action, form, token)
        caller = self._caller(request)
        if action == "GetCallerIdentity":
            return _xml(action, f"<Arn>{caller.arn}</Arn><Account>{ACCOUNT}</Account>")
        role = form["RoleArn"]
        if role not in self.roles or self.roles[role] != form.get("ExternalId"):
            raise Refusal("AccessDenied", f"{caller.arn} is not authorized to assume {role}")
        return self._take(action, form, caller.arn)

    def _caller(self, request: Request) -> Key:
        names = {
            "UnrecognizedClientException": "InvalidClientTokenId",
            "InvalidSignatureException": "SignatureDoesNotMatch",
            "ExpiredTokenException": "ExpiredToken",
        }
        try:
            return self.signer(request)
        except Refusal as refusal:
            raise Refusal(names.get(refusal.code, refusal.code), refusal.message) from None

    def _take(self, action: str, form: Mapping[str, str], by: str) -> str:
        role, session = form["RoleArn"], form["RoleSessionName"]
        self.assumed.append(Assumed(role, session, form.get("ExternalId"), by))
        user = role.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/") + f"/{session}"
        key = self.hand_out(user, temporary=True)
        assert key.expires is not None
        return _xml(
            action,
            f"<Credentials><AccessKeyId>{key.id}</AccessKeyId>"
            f"<SecretAccessKey>{key.secret}</SecretAccessKey>"
            f"<SessionToken>{key.token}</SessionToken>"
            f"<Expiration>{key.expires.isoformat()}</Expiration></Credentials>"
            f"<AssumedRoleUser><Arn>{escape(user)}</Arn><AssumedRoleId>ID</AssumedRoleId>"
            "</AssumedRoleUser>",
        )


def refusal_xml(refusal: Refusal) -> str:
    return (
        "<ErrorResponse><Error><Type>Sender</Type>"
        f"<Code>{refusal.code}</Code><Message>{escape(refusal.message)}</Message>"
        "</Error><RequestId>id</RequestId></ErrorResponse>"
    )


def _xml(action: str, result: str) -> str:
    space = 'xmlns="https://sts.amazonaws.com/doc/2011-06-15/"'
    return f"<{action}Response {space}><{action}Result>{result}</{action}Result></{action}Response>"


def _signature(
    request: Request, key: Key, region: str, service: str, stamp: str, parts: Mapping[str, str]
) -> str:
    auth = SigV4Auth(Credentials(key.id, key.secret, key.token), service, region)
    names = parts["SignedHeaders"].split(";")
    signed = AWSRequest(
        method=request.method,
        url=f"http://{request.headers['host']}{request.path}",
        data=request.body,
        headers={name: request.headers[name] for name in names},
    )
    signed.context["timestamp"] = stamp
    text = auth.string_to_sign(signed, auth.canonical_request(signed))
    return str(auth.signature(text, signed))
