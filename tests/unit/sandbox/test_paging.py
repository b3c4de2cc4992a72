from __future__ import annotations

import pytest

from rotator.sandbox.answers import ApiError
from rotator.sandbox.paging import PageRequest, page_request, page_token


def test_ten_from_the_beginning_by_default() -> None:
    assert page_request({}) == PageRequest(size=10, after="")


def test_a_token_leads_back_to_its_place_and_fits_the_contract() -> None:
    name = "a" * 100
    token = page_token(name)
    assert page_request({"page_size": "100", "page_token": token}) == PageRequest(100, name)
    assert len(token) <= 255
    assert name not in token


@pytest.mark.parametrize("size", ["0", "101", "-1", "ten", "", "1.5", "9" * 5000, "٣"])
def test_refuses_a_size_out_of_range(size: str) -> None:
    with pytest.raises(ApiError) as caught:
        page_request({"page_size": size})
    assert (caught.value.status, caught.value.parameter) == (400, "page_size")


@pytest.mark.parametrize("token", ["openai-001", "!!", "YQ", "_w", "A" * 300, "é"])
def test_refuses_a_token_that_it_did_not_give(token: str) -> None:
    with pytest.raises(ApiError) as caught:
        page_request({"page_token": token})
    assert (caught.value.status, caught.value.parameter) == (400, "page_token")
