"""Files as the kubelet, people and other programs write them."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from rotator.config.models import FileSource
from rotator.errors import SecretInvalid, SecretMissing, SourceDenied, SourceError
from rotator.model import SecretRef
from rotator.sources import open_source
from rotator.sources.threads import ThreadedSource

CANARY = "canary-value-of-a-secret"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "secrets"
    folder.mkdir()
    return folder


@pytest.fixture
def source(root: Path) -> ThreadedSource:
    config = FileSource.model_validate({"kind": "file", "root": str(root)})
    return open_source("mounted", config, lambda _: None)


def ref(path: str) -> SecretRef:
    return SecretRef("mounted", path)


def kubelet_writes(folder: Path, version: str, fields: dict[str, str]) -> None:
    """As https://pkg.go.dev/k8s.io/kubernetes/pkg/volume/util#AtomicWriter does."""
    folder.mkdir(exist_ok=True)
    stamped = folder / f"..{version}"
    stamped.mkdir()
    for name, value in fields.items():
        (stamped / name).write_text(value)
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
    (folder / "..data_tmp").symlink_to(stamped.name)
    (folder / "..data_tmp").rename(folder / "..data")


async def test_a_mounted_secret(root: Path, source: ThreadedSource) -> None:
    kubelet_writes(root / "openai", "2026_11_20_1", {"api_key": "one", "other": "x\n"})
    first = await source.read(ref("openai"))
    assert first.fields == {"api_key": "one", "other": "x"}
    assert await source.probe(ref("openai")) == first.version
    kubelet_writes(root / "openai", "2026_11_20_2", {"api_key": "two", "other": "x"})
    second = await source.read(ref("openai"))
    assert second.fields["api_key"] == "two"
    assert second.version != first.version
    assert CANARY not in repr(second)


@pytest.mark.parametrize(
    ("name", "text", "fields"),
    [
        ("a.json", '{"pin": "00123", "port": 7}', {"pin": "00123", "port": 7}),
        ("a.yaml", "pin: 00123\nport: 7\non: off\n", {"pin": "00123", "port": "7", "on": "off"}),
        ("a.yml", "'a b': \"c\"", {"a b": "c"}),
    ],
)
async def test_files(
    root: Path, source: ThreadedSource, name: str, text: str, fields: dict[str, object]
) -> None:
    (root / name).write_text(text)
    assert (await source.read(ref(name))).fields == fields


async def test_a_plain_folder_changes_its_version(root: Path, source: ThreadedSource) -> None:
    folder = root / "plain"
    folder.mkdir()
    (folder / "api_key").write_text("one")
    before = await source.probe(ref("plain"))
    (folder / "new").write_text("two")
    (folder / "new").rename(folder / "api_key")
    os.utime(folder / "api_key", ns=(1, 1))
    assert await source.probe(ref("plain")) != before


Break = Callable[[Path], str]


def absent(root: Path) -> str:
    return "nowhere"


def empty_folder(root: Path) -> str:
    (root / "x").mkdir()
    return "x"


def climbing(root: Path) -> str:
    (root.parent / "outside.json").write_text(f'{{"api_key": "{CANARY}"}}')
    return "../outside.json"


def absolute(root: Path) -> str:
    return "/etc/passwd"


def link_out(root: Path) -> str:
    (root.parent / "outside.json").write_text(f'{{"api_key": "{CANARY}"}}')
    (root / "x.json").symlink_to(root.parent / "outside.json")
    return "x.json"


def loop(root: Path) -> str:
    (root / "x").symlink_to(root / "x")
    return "x"


def half_written(root: Path) -> str:
    (root / "x.json").write_text('{"api_key": "' + CANARY)
    return "x.json"


def twice(root: Path) -> str:
    (root / "x.json").write_text(f'{{"a": "{CANARY}", "a": "{CANARY}"}}')
    return "x.json"


def a_list(root: Path) -> str:
    (root / "x.yaml").write_text(f"- {CANARY}")
    return "x.yaml"


def no_yaml(root: Path) -> str:
    (root / "x.yaml").write_text(f"a: [{CANARY}")
    return "x.yaml"


def binary(root: Path) -> str:
    (root / "x").mkdir()
    (root / "x" / "api_key").write_bytes(b"\xff\xfe" + CANARY.encode())
    return "x"


def pipe(root: Path) -> str:
    os.mkfifo(root / "x.json")
    return "x.json"


def huge(root: Path) -> str:
    (root / "x.json").write_text(" " * (1024 * 1024 + 1))
    return "x.json"


def too_many(root: Path) -> str:
    (root / "x").mkdir()
    for number in range(257):
        (root / "x" / str(number)).touch()
    return "x"


def some_other_file(root: Path) -> str:
    (root / "x.txt").write_text(CANARY)
    return "x.txt"


BROKEN: dict[Break, tuple[type[SourceError], str]] = {
    absent: (SecretMissing, "no such file"),
    empty_folder: (SecretMissing, "no field"),
    climbing: (SourceDenied, "below"),
    absolute: (SourceDenied, "below"),
    link_out: (SourceDenied, "leads out"),
    loop: (SecretInvalid, "can't be read"),
    half_written: (SecretInvalid, "not valid JSON"),
    twice: (SecretInvalid, "twice"),
    a_list: (SecretInvalid, "no mapping"),
    no_yaml: (SecretInvalid, "not valid YAML"),
    binary: (SecretInvalid, "api_key is not UTF-8"),
    pipe: (SecretInvalid, "no ordinary file"),
    huge: (SecretInvalid, "larger"),
    too_many: (SecretInvalid, "257"),
    some_other_file: (SecretInvalid, "name a folder"),
}


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
async def test_what_goes_wrong_is_named_and_holds_no_value(
    root: Path, source: ThreadedSource, broken: Break
) -> None:
    path = broken(root)
    kind, words = BROKEN[broken]
    with pytest.raises(kind, match=words) as caught:
        await source.read(ref(path))
    assert "source mounted" in str(caught.value)
    error = caught.value
    assert CANARY not in "".join(traceback.format_exception(error)) + repr(error.__dict__)
