"""Files as the kubelet, people and other programs write them."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rotator.config.models import FileSource
from rotator.errors import (
    SecretInvalid,
    SecretMissing,
    SourceDenied,
    SourceError,
    SourceUnavailable,
)
from rotator.model.events import Event, SourceRead
from rotator.model.secret import SecretRef
from rotator.sources import open_source
from rotator.sources.threads import ThreadedSource
from tests.support.digest import digest

CANARY = "canary-value-of-a-secret"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "secrets"
    folder.mkdir()
    return folder


@pytest.fixture
async def source(root: Path) -> ThreadedSource:
    config = FileSource.model_validate({"kind": "file", "root": str(root)})
    return open_source("mounted", config, lambda _: None, digest)


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
    assert (await source.probe(ref("openai"))).version == first.version
    kubelet_writes(root / "openai", "2026_11_20_2", {"api_key": "two", "other": "x"})
    second = await source.read(ref("openai"))
    assert second.fields["api_key"] == "two"
    assert second.version != first.version
    assert CANARY not in repr(second)


async def test_when_a_version_came_to_be(root: Path, source: ThreadedSource) -> None:
    made = datetime(2026, 11, 20, 12, tzinfo=UTC)
    kubelet_writes(root / "openai", "2026_11_20_1", {"api_key": "one"})
    os.utime(root / "openai" / "..2026_11_20_1", (made.timestamp(), made.timestamp()))
    assert (await source.read(ref("openai"))).changed_at == made
    for name, field in (("plain/new", "plain"), ("a.json", "a.json")):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text('{"a": "b"}')
        os.utime(root / name, (made.timestamp(), made.timestamp()))
        assert (await source.read(ref(field))).changed_at == made


@pytest.mark.parametrize(
    ("name", "text", "fields"),
    [
        ("a.json", '{"pin": "00123", "port": 7}', {"pin": "00123", "port": 7}),
        ("a.yaml", "pin: 00123\nport: 7\non: off\n", {"pin": "00123", "port": "7", "on": "off"}),
        ("a.yml", "'a b': \"c\"", {"a b": "c"}),
        ("a.YAML", "a: null\nb:\nc: ~\nd: '~'\n", {"a": None, "b": None, "c": None, "d": "~"}),
        ("a.yaml", "schlüssel: größe\n", {"schlüssel": "größe"}),
        ("a.json", '\ufeff{"a": "made on Windows"}', {"a": "made on Windows"}),
        ("a.json", '{"a": {"b": [1, null]}}', {"a": {"b": [1, None]}}),
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
    before = (await source.probe(ref("plain"))).version
    (folder / "new").write_text("two")
    (folder / "new").rename(folder / "api_key")
    os.utime(folder / "api_key", ns=(1, 1))
    assert (await source.probe(ref("plain"))).version != before


async def test_a_folder_holds_values_as_they_are(root: Path, source: ThreadedSource) -> None:
    folder = root / "plain"
    (folder / "lost+found").mkdir(parents=True)
    content = {
        "one": b"x\n",
        "two": b"x\n\n",
        "windows": b"x\r\n",
        "none": b"x",
        "spaces": b" 00123 ",
        "empty": b"",
        ".dockerconfigjson": b"{}",
        "schl\u00fcssel": "gr\u00f6\u00dfe".encode(),
        "..hidden": b"the kubelet's own",
    }
    for name, value in content.items():
        (folder / name).write_bytes(value)
    assert (await source.read(ref("plain"))).fields == {
        "one": "x",
        "two": "x\n",
        "windows": "x",
        "none": "x",
        "spaces": " 00123 ",
        "empty": "",
        ".dockerconfigjson": "{}",
        "schl\u00fcssel": "gr\u00f6\u00dfe",
    }


async def test_a_document_in_a_mounted_secret_changes_with_it(
    root: Path, source: ThreadedSource
) -> None:
    kubelet_writes(root / "openai", "1", {"all.json": '{"api_key": "one"}'})
    before = await source.read(ref("openai/all.json"))
    kubelet_writes(root / "openai", "2", {"all.json": '{"api_key": "two"}'})
    after = await source.read(ref("openai/all.json"))
    assert (before.fields["api_key"], after.fields["api_key"]) == ("one", "two")
    assert before.version != after.version == (await source.probe(ref("openai/all.json"))).version


async def test_the_root_itself_may_be_the_secret(root: Path, source: ThreadedSource) -> None:
    kubelet_writes(root, "1", {"api_key": "one"})
    assert (await source.read(ref("."))).fields == {"api_key": "one"}


async def test_an_unchanged_secret_keeps_its_version_and_a_renamed_field_does_not(
    root: Path, source: ThreadedSource
) -> None:
    (root / "x").mkdir()
    (root / "x" / "a").write_text(CANARY)
    first = (await source.probe(ref("x"))).version
    assert (await source.probe(ref("x"))).version == first == (await source.read(ref("x"))).version
    (root / "x" / "a").rename(root / "x" / "b")
    assert (await source.probe(ref("x"))).version != first


@contextmanager
def meanwhile(work: Callable[[int], None]) -> Iterator[None]:
    """Repeat `work` in a thread."""
    done = threading.Event()

    def repeat() -> None:
        count = 0
        while not done.is_set():
            count += 1
            work(count)

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


async def test_no_read_mixes_two_versions_of_a_mounted_secret(
    root: Path, source: ThreadedSource
) -> None:
    folder = root / "openai"

    def swap(count: int) -> None:
        fields = dict.fromkeys(("a", "b", "c", "d"), f"{count}")
        kubelet_writes(folder, f"v{count}", fields)
        if count > 1:
            shutil.rmtree(folder / f"..v{count - 1}")  # the kubelet removes it at once

    swap(0)
    good = 0
    with meanwhile(swap):
        async with asyncio.timeout(30):
            while good < 50:
                try:
                    secret = await source.read(ref("openai"))
                except (SecretMissing, SourceUnavailable):
                    continue  # replaced twice within one read
                good += 1
                assert len(secret.fields) == 4
                assert len(set(secret.fields.values())) == 1


async def test_no_read_mixes_two_versions_of_a_folder(root: Path, source: ThreadedSource) -> None:
    folder = root / "x"
    folder.mkdir()

    def replace(count: int) -> None:
        (root / "new").mkdir()
        for name in ("a", "b", "c"):
            (root / "new" / name).write_text(f"{count}")
        folder.rename(root / "old")
        (root / "new").rename(folder)
        shutil.rmtree(root / "old")

    replace(0)
    good = 0
    with meanwhile(replace):
        async with asyncio.timeout(30):
            while good < 50:
                try:
                    secret = await source.read(ref("x"))
                except (SecretMissing, SourceUnavailable):
                    continue  # gone for the moment, or replaced twice within one read
                good += 1
                assert len(set(secret.fields.values())) == 1
                assert len(secret.fields) == 3


async def test_observers_are_told_of_reads_and_probes(root: Path) -> None:
    events: list[Event] = []
    config = FileSource.model_validate({"kind": "file", "root": str(root)})
    opened = open_source("mounted", config, events.append, digest)
    kubelet_writes(root / "openai", "1", {"api_key": "one"})
    await opened.read(ref("openai"))
    await opened.probe(ref("openai"))
    with pytest.raises(SecretMissing):
        await opened.probe(ref("none"))
    await opened.aclose()
    assert [
        (event.source, event.operation, event.result)
        for event in events
        if isinstance(event, SourceRead)
    ] == [
        ("mounted", "read", "ok"),
        ("mounted", "probe", "ok"),
        ("mounted", "probe", "missing"),
    ]


@contextmanager
def nobody() -> Iterator[Path]:
    """A folder that everybody can enter, and this process as a user that owns nothing."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@contextmanager
def without_rights() -> Iterator[None]:
    """To root, no file is unreadable."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


async def test_what_may_not_be_read_is_named_with_its_field() -> None:
    with nobody() as root:
        (root / "x").mkdir()
        (root / "x" / "api_key").write_text(CANARY)
        (root / "x" / "api_key").chmod(0)
        (root / "closed").mkdir(0)
        config = FileSource.model_validate({"kind": "file", "root": str(root)})
        opened = open_source("mounted", config, lambda _: None, digest)
        with without_rights():
            with pytest.raises(SourceDenied, match=r"field 'api_key' can't be read.*check owner"):
                await opened.read(ref("x"))
            with pytest.raises(SourceDenied, match=r"it can't be read: Permission denied"):
                await opened.read(ref("closed"))
            config = FileSource.model_validate({"kind": "file", "root": str(root / "closed" / "x")})
            with pytest.raises(SourceDenied, match=r"its root .* can't be read"):
                await open_source("mounted", config, lambda _: None, digest).probe(ref("x"))


async def test_a_root_that_is_absent_is_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("none", "file"):
        config = FileSource.model_validate({"kind": "file", "root": str(tmp_path / name)})
        opened = open_source("mounted", config, lambda _: None, digest)
        with pytest.raises(SourceUnavailable, match=r"is no folder; is the volume mounted\?"):
            await opened.read(ref("openai"))


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


def field_link_out(root: Path) -> str:
    (root.parent / "outside").write_text(CANARY)
    (root / "x").mkdir()
    (root / "x" / "api_key").symlink_to(root.parent / "outside")
    return "x"


def data_link_out(root: Path) -> str:
    (root.parent / "outside").mkdir()
    (root.parent / "outside" / "api_key").write_text(CANARY)
    (root / "x").mkdir()
    (root / "x" / "..data").symlink_to(root.parent / "outside")
    return "x"


def dangling_field(root: Path) -> str:
    (root / "x").mkdir()
    (root / "x" / "api_key").symlink_to("nothing")
    return "x"


def pipe_as_field(root: Path) -> str:
    (root / "x").mkdir()
    os.mkfifo(root / "x" / "api_key")
    return "x"


def below_a_file(root: Path) -> str:
    (root / "x.json").write_text("{}")
    return "x.json/y"


def nul_in_path(root: Path) -> str:
    return "x\0.json"


def long_name(root: Path) -> str:
    return "x" * 5000


def half_a_character_in_path(root: Path) -> str:
    return "x\ud800"


def nul_in_value(root: Path) -> str:
    (root / "x").mkdir()
    (root / "x" / "api_key").write_text(CANARY + "\0")
    return "x"


def empty_json(root: Path) -> str:
    (root / "x.json").touch()
    return "x.json"


def empty_yaml(root: Path) -> str:
    (root / "x.yaml").write_text("# nothing\n")
    return "x.yaml"


def deep_json(root: Path) -> str:
    (root / "x.json").write_text('{"a": ' + "[" * 100_000)
    return "x.json"


def deep_yaml(root: Path) -> str:
    (root / "x.yaml").write_text("a: " + "[" * 10_000)
    return "x.yaml"


def nan(root: Path) -> str:
    (root / "x.json").write_text('{"a": NaN}')
    return "x.json"


def half_a_character_in_json(root: Path) -> str:
    (root / "x.json").write_text(f'{{"a": "{CANARY}\\ud800"}}')
    return "x.json"


def beyond_unicode_in_yaml(root: Path) -> str:
    (root / "x.yaml").write_text(f'a: "{CANARY}\\UFFFFFFFF"')
    return "x.yaml"


def twice_in_yaml(root: Path) -> str:
    (root / "x.yaml").write_text(f"a: {CANARY}\nb: 1\na: {CANARY}\n")
    return "x.yaml"


def billion_laughs(root: Path) -> str:
    lines = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    (root / "x.yaml").write_text(f"a0: &a0 {CANARY}\n" + "\n".join(lines))
    return "x.yaml"


def two_documents(root: Path) -> str:
    (root / "x.yaml").write_text(f"a: {CANARY}\n---\na: {CANARY}\n")
    return "x.yaml"


def list_as_key(root: Path) -> str:
    (root / "x.yaml").write_text(f"? [{CANARY}]\n: 1\n")
    return "x.yaml"


def some_other_file(root: Path) -> str:
    (root / "x.txt").write_text(CANARY)
    return "x.txt"


BROKEN: dict[Break, tuple[type[SourceError], str]] = {
    absent: (SecretMissing, "no such file"),
    empty_folder: (SecretMissing, "no field"),
    dangling_field: (SecretMissing, "no such file"),
    below_a_file: (SecretMissing, "no such file"),
    climbing: (SourceDenied, "must be relative"),
    absolute: (SourceDenied, "must be relative"),
    nul_in_path: (SourceDenied, "must be relative"),
    link_out: (SourceDenied, "leads out"),
    field_link_out: (SourceDenied, "leads out"),
    data_link_out: (SourceDenied, "leads out"),
    loop: (SecretInvalid, "in a circle"),
    long_name: (SourceUnavailable, "File name too long"),
    half_a_character_in_path: (SecretInvalid, "no file has such a name"),
    half_written: (SecretInvalid, r"not valid JSON \(line 1, column 13\)"),
    empty_json: (SecretInvalid, "it is empty"),
    empty_yaml: (SecretInvalid, "it is empty"),
    deep_json: (SecretInvalid, "beyond all sense"),
    deep_yaml: (SecretInvalid, "not valid YAML"),
    nan: (SecretInvalid, "NaN"),
    half_a_character_in_json: (SecretInvalid, "half a character"),
    beyond_unicode_in_yaml: (SecretInvalid, "not valid YAML"),
    twice: (SecretInvalid, "twice"),
    twice_in_yaml: (SecretInvalid, "twice"),
    billion_laughs: (SecretInvalid, "alias"),
    two_documents: (SecretInvalid, r"not valid YAML \(line 2"),
    list_as_key: (SecretInvalid, "YAML|no text"),
    a_list: (SecretInvalid, "no mapping"),
    no_yaml: (SecretInvalid, r"not valid YAML \(line 1"),
    binary: (SecretInvalid, "'api_key' is not UTF-8"),
    nul_in_value: (SecretInvalid, "'api_key' is binary"),
    pipe: (SecretInvalid, "no ordinary file"),
    pipe_as_field: (SecretInvalid, "'api_key' is no ordinary file"),
    huge: (SecretInvalid, "larger"),
    too_many: (SecretInvalid, "more than 256"),
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
