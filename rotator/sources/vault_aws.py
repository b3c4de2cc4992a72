"""The aws login of Vault: a signed request to STS, which Vault sends on to learn who signed it."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from time import monotonic

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from rotator.config.models import AwsSource, VaultAws
from rotator.errors import LoginDenied
from rotator.sources.aws_errors import Errors
from rotator.sources.aws_identity import open_session
from rotator.sources.aws_wire import Wire

_BODY = "Action=GetCallerIdentity&Version=2011-06-15"


def signed(name: str, auth: VaultAws, timeout: timedelta) -> dict[str, str]:
    """The body of the login, signed with credentials that are looked up each time. Raises
    SourceError.

    hvac's own signs for the global endpoint whatever the region, and takes no credentials that
    renew themselves. https://developer.hashicorp.com/vault/docs/auth/aws#iam-auth-method
    """
    config = AwsSource(kind="aws-secrets-manager", region=auth.region, timeout=timeout)
    seconds = timeout.total_seconds()
    wire = Wire(seconds, monotonic)
    suffix = "amazonaws.com.cn" if auth.region.startswith("cn-") else "amazonaws.com"
    url = f"https://sts.{auth.region}.{suffix}/"
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    if auth.server_id is not None:
        headers["X-Vault-AWS-IAM-Server-ID"] = auth.server_id
    request = AWSRequest("POST", url, headers=headers, data=_BODY)
    try:
        with wire.within(seconds):
            credentials = open_session(config, wire).get_credentials()
            frozen = None if credentials is None else credentials.get_frozen_credentials()
    except Exception as error:  # noqa: BLE001 - translated, or raised again if unknown
        raise Errors(name, config).of_login("", error) from None
    finally:
        wire.close()
    if frozen is None:
        raise LoginDenied(name, "", "there are no AWS credentials to log in with")
    SigV4Auth(frozen, "sts", auth.region).add_auth(request)
    fields = {
        "iam_request_url": url,
        "iam_request_body": _BODY,
        "iam_request_headers": json.dumps(dict(request.headers.items())),
    }
    sent = {field: base64.b64encode(text.encode()).decode() for field, text in fields.items()}
    sent["iam_http_request_method"] = "POST"
    return sent | ({"role": auth.role} if auth.role else {})
