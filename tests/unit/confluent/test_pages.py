from __future__ import annotations

from rotator.confluent.pages import PageIndex


def test_a_name_is_on_the_page_where_it_was_last_seen() -> None:
    index = PageIndex()
    index.saw("/1", ["a", "b"])
    index.saw("/2", ["b", "c"])
    assert index.pages(["a"]) == {"/1"}
    assert index.pages(["b"]) == {"/2"}
    assert index.pages(["a", "c", "unknown"]) == {"/1", "/2"}


def test_a_name_that_its_page_no_longer_holds_is_on_none() -> None:
    index = PageIndex()
    index.saw("/1", ["a", "b"])
    index.saw("/1", ["b"])
    assert index.pages(["a"]) == set()
    assert index.pages(["b"]) == {"/1"}


def test_a_page_is_forgotten_with_its_names() -> None:
    index = PageIndex()
    index.saw("/1", ["a"])
    index.saw("/2", ["b"])
    index.forget("/1")
    index.forget("/never-seen")
    assert index.pages(["a", "b"]) == {"/2"}


def test_what_the_whole_list_lacks_is_dropped() -> None:
    index = PageIndex()
    index.saw("/1", ["a", "b"])
    index.saw("/2", ["c"])
    index.keep_only({"b", "d"})
    assert index.pages(["a", "b", "c"]) == {"/1"}


def test_it_does_not_grow_with_pages_that_come_and_go() -> None:
    index = PageIndex()
    for number in range(1000):
        index.saw(f"/{number}", ["a", "b"])
    assert len(index._names_on) == 1
    index.keep_only(())
    assert not index._names_on
    assert not index._page_of
