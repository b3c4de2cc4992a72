"""The key of fingerprints is created once and complete, and is never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from rotator.errors import LedgerError
from rotator.ledger import FingerprintKey, fingerprint_key


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"abc\n", b"\xff\xfe" * 40, b"00" * 8, b"0" * 63, b"nothexadecimal " * 4],
    ids=["empty", "blank", "short", "bytes", "8 bytes", "half written", "text"],
)
def test_a_file_that_holds_no_key_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(LedgerError, match="fingerprint key") as refused:
        fingerprint_key(path)
    assert path.read_bytes() == content
    said = set(str(refused.value).encode().split())
    assert not said & set(content.split()), "what is in the file is a secret, right or wrong"


def test_places_that_cant_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere" / "key")
    for place, words in {
        ".": "can't be read: Is a directory",
        "file/key": "can't be read: Not a directory",
        "nowhere/key": "can't be made: No such file or directory",
        "/proc/key": "can't be made",
        "dangling": "disappears",
    }.items():
        with pytest.raises(LedgerError, match=words):
            fingerprint_key(tmp_path / place)
    assert {file.name for file in tmp_path.iterdir()} == {"file", "dangling"}


def test_it_is_made_once_whole_and_private(tmp_path: Path) -> None:
    path = tmp_path / "key"
    key = fingerprint_key(path)
    assert len(key.key) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert fingerprint_key(path) == key
    assert [file.name for file in tmp_path.iterdir()] == ["key"]


def test_a_mounted_secret_may_be_readable_by_others(tmp_path: Path) -> None:
    """The kubelet mounts it with mode 0644 behind a link, with or without a newline."""
    key = fingerprint_key(tmp_path / "key")
    (tmp_path / "data").write_text(key.key.hex())
    (tmp_path / "data").chmod(0o644)
    (tmp_path / "mounted").symlink_to("data")
    assert fingerprint_key(tmp_path / "mounted") == key


def test_fingerprints_are_of_the_data_alone() -> None:
    key, other = FingerprintKey(b"1" * 32), FingerprintKey(b"2" * 32)
    data = {"a": "1", "b": "ü\ud800"}
    assert key.fingerprint(data) == key.fingerprint(dict(reversed(data.items())))
    assert len(key.fingerprint(data)) == 64
    different = [{"a": "1"}, {"a": "2"}, {"a": "1", "b": ""}, {"b": "1"}, {'a":"1","b': "2"}, {}]
    prints = {key.fingerprint(each) for each in [*different, {"a": "1", "b": "2"}]}
    assert len(prints) == len(different) + 1
    assert key.fingerprint({"a": "1"}) != other.fingerprint({"a": "1"})


def test_a_fingerprint_stays_the_same_over_versions() -> None:
    """A change here would update every credential of every user once more."""
    known = FingerprintKey(bytes(range(32))).fingerprint({"api-key": "schl\u00fcssel"})
    assert known == "10aa06fa16511d084f364f0aa9ee2e400169f27ce64f9d66e51467d32b807bdc"


def test_the_key_is_not_shown() -> None:
    key = FingerprintKey(b"canary-" * 5)
    assert "canary" not in repr(key)
    assert "canary" not in f"{key} {[key]}"
