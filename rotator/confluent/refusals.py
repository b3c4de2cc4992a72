"""Turns an answer that is no success into the error that says what happens next."""

from __future__ import annotations

from rotator.confluent.documents import Foreign, Malformed, complaint
from rotator.confluent.transport import HttpAnswer
from rotator.errors import (
    KeyRefused,
    TargetError,
    TargetRefused,
    TargetUnavailable,
    UpdateConflict,
    UpdateUncertain,
)
from rotator.model.credential import Credential

_HTML = "it answers HTML, not the API; is its url right, is a proxy in between?"
_REMEDIES = {
    400: "it says that the request is wrong",
    401: "it doesn't know the key; check auth, and that a Flink key is of this region",
    403: "the key may not do this; it needs FlinkAdmin, EnvironmentAdmin or OrganizationAdmin",
    404: "not found; check organization, environment and the region in url",
    405: "it doesn't take this kind of update; set update: patch or auto",
}


def refusal(
    target: str, what: str, answer: HttpAnswer, credential: Credential | None = None
) -> TargetError:
    """The error for a clear no. `credential` is what was sent, and what the answer may echo."""
    said = complaint(answer.body, credential)
    words = _REMEDIES.get(answer.status, "refused")
    if 300 <= answer.status < 400:
        words = "it redirects elsewhere, which is never followed; is its url right?"
        said = ""
    if answer.is_html:
        words = _HTML
    kind = KeyRefused if answer.status in {401, 403} else TargetRefused
    return kind(
        target,
        f"{what}: {words}" + (f": {said}" if said else ""),
        status=answer.status,
        request_id=answer.request_id,
    )


def odd_answer(
    target: str, what: str, odd: Malformed, answer: HttpAnswer, *, final: bool
) -> TargetError:
    """The error for a read whose answer is not the API's. It is read again unless it is `final`."""
    words = _HTML if answer.is_html else f"{what} is not as the API's: {odd}"
    kind = TargetRefused if final or isinstance(odd, Foreign) else TargetUnavailable
    return kind(target, words, status=answer.status, request_id=answer.request_id)


def update_error(
    target: str, what: str, answer: HttpAnswer, credential: Credential
) -> TargetError | None:
    """The error for the answer to an update; None where its status is a success."""
    if answer.status in {409, 412}:
        return UpdateConflict(
            target,
            f"{what}: it changed meanwhile",
            status=answer.status,
            request_id=answer.request_id,
        )
    if answer.status >= 500:
        return UpdateUncertain(
            target,
            f"{what}: an error that doesn't say whether it was applied",
            status=answer.status,
            request_id=answer.request_id,
        )
    if not 200 <= answer.status < 300:
        return refusal(target, what, answer, credential)
    return None


def odd_update(target: str, what: str, odd: Malformed, answer: HttpAnswer) -> TargetError:
    """The error for an answer whose status is a success, and whose body is not the API's."""
    said = "HTML, not the API's" if answer.is_html else str(odd)
    return UpdateUncertain(
        target,
        f"{what}: the answer is {said}",
        status=answer.status,
        request_id=answer.request_id,
    )
