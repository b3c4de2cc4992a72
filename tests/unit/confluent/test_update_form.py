"""Which form an update is sent in, from every sequence of answers."""

from __future__ import annotations

from itertools import product

import pytest

from rotator.confluent.settings import UpdateMethod
from rotator.confluent.update_form import PATCH_AFTER_405, UpdateForm, UpdateForms

PUT, PATCH, UNVERSIONED = UpdateForm.PUT, UpdateForm.PATCH, UpdateForm.PATCH_UNVERSIONED


def send(
    forms: UpdateForms, *statuses: int, now: float = 0.0, versioned: bool = True
) -> list[UpdateForm]:
    """The forms of one update whose requests are answered so, one after the other."""
    answers = iter(statuses)
    tried: tuple[UpdateForm, ...] = ()
    form: UpdateForm | None = forms.first(now)
    while form is not None:
        tried = (*tried, form)
        form = forms.after(tried, next(answers), now, versioned=versioned)
    assert next(answers, None) is None, "all of the answers were given"
    return list(tried)


def test_put_stays_put_while_it_is_taken() -> None:
    forms = UpdateForms("auto")
    for status in (200, 400, 404, 409, 412, 429, 500):
        assert send(forms, status) == [PUT]


def test_a_405_means_patch_for_a_limited_time() -> None:
    forms = UpdateForms("auto")
    assert send(forms, 405, 200, now=100.0) == [PUT, PATCH]
    assert send(forms, 200, now=100.0 + PATCH_AFTER_405 - 1) == [PATCH]
    assert send(forms, 200, now=100.0 + PATCH_AFTER_405) == [PUT]


def test_a_405_to_the_patch_forgets_it_at_once() -> None:
    forms = UpdateForms("auto")
    assert send(forms, 405, 405) == [PUT, PATCH]
    assert send(forms, 200) == [PUT]
    assert send(forms, 405, 200) == [PUT, PATCH]
    assert send(forms, 405, 200) == [PATCH, PUT]
    assert send(forms, 200) == [PUT]


@pytest.mark.parametrize("method", ["put", "patch"])
def test_a_configured_method_is_kept(method: UpdateMethod) -> None:
    forms = UpdateForms(method)
    form = PUT if method == "put" else PATCH
    assert send(forms, 405) == [form]
    assert send(forms, 200) == [form]


def test_a_version_that_is_refused_is_left_out_from_then_on() -> None:
    forms = UpdateForms("patch")
    assert send(forms, 400, 200) == [PATCH, UNVERSIONED]
    assert send(forms, 200) == [UNVERSIONED]
    assert send(forms, 400) == [UNVERSIONED]


@pytest.mark.parametrize("status", [400, 403, 404, 409, 429, 500])
def test_only_a_success_without_the_version_says_that_it_was_the_version(status: int) -> None:
    forms = UpdateForms("patch")
    assert send(forms, 400, status) == [PATCH, UNVERSIONED]
    assert send(forms, 200) == [PATCH]


def test_a_patch_that_had_no_version_is_not_sent_again_without_it() -> None:
    assert send(UpdateForms("patch"), 400, versioned=False) == [PATCH]


@pytest.mark.parametrize("method", ["auto", "put", "patch"])
def test_one_update_sends_each_form_at_most_once(method: UpdateMethod) -> None:
    for history in product((200, 400, 405), repeat=7):
        forms, answers = UpdateForms(method), list(history)
        while len(answers) >= 3:
            tried: tuple[UpdateForm, ...] = ()
            form: UpdateForm | None = forms.first(0.0)
            while form is not None:
                assert form not in tried
                tried = (*tried, form)
                form = forms.after(tried, answers.pop(0), 0.0, versioned=True)
