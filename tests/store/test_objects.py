"""What a store in a bucket does beyond what every store promises, with a real S3 server."""

from collections.abc import Callable
from typing import Any

import pytest

from reconciler.errors import ConfigurationError, ConflictError
from reconciler.state_store import Key, open_store

from stores import content, failure, write

S3 = Callable[[str], str]


def test_the_state_before_the_run_is_kept(s3: S3, tmp_path: Any) -> None:
    location = s3(f"{tmp_path.name}/state.json")
    first = open_store(location)
    version = write(first, b"2", write(first, b"1"))
    assert open_store(f"{location}.backup").read(Key.STATE) is None
    second = open_store(location)
    for data in (b"3", b"4"):
        version = write(second, data, version)
    assert content(open_store(f"{location}.backup")) == b"2"
    assert f"{tmp_path.name}/state.json.backup of the bucket states" in second.backup()


def test_a_conflict_leaves_the_kept_one_alone(s3: S3, tmp_path: Any) -> None:
    location = s3(f"{tmp_path.name}/state.json")
    version = write(open_store(location), b"1")
    write(open_store(location), b"2", version)
    with pytest.raises(ConflictError):
        write(open_store(location), b"3", version)
    assert content(open_store(f"{location}.backup")) == b"1"


def test_a_released_lock_is_an_empty_object(s3: S3, tmp_path: Any) -> None:
    store = open_store(s3(f"{tmp_path.name}/state.json"))
    write(store, b"", write(store, b"lock", key=Key.LOCK), Key.LOCK)
    lock = open_store(s3(f"{tmp_path.name}/state.json.lock"))
    assert content(lock) == b""


def test_a_bucket_that_does_not_exist_is_no_empty_state(s3: S3) -> None:
    assert s3
    store = open_store("s3://nowhere/state.json")
    said = failure(lambda: store.read(Key.STATE))
    assert said == (
        "cannot read s3://nowhere/state.json: NoSuchBucket: The specified bucket does not exist"
    )
    said = failure(lambda: write(store, b"1"))
    assert said.startswith("cannot write s3://nowhere/state.json: NoSuchBucket: ")


def test_a_wrong_secret(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    said = failure(lambda: open_store(s3("state.json")).read(Key.STATE))
    assert "SignatureDoesNotMatch" in said
    assert "another" not in said


def test_a_missing_permission(s3: S3, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    location = s3(f"{tmp_path.name}/state.json")
    version = write(open_store(location), b"1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "reader")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "readersecret")
    store = open_store(location)
    assert store.read(Key.STATE) == (b"1", version)
    said = failure(lambda: write(store, b"2", version))
    assert said.startswith(f"cannot keep {tmp_path.name}/state.json.backup, a copy of {location}")
    assert "AccessDenied" in said
    assert "AccessDenied" in failure(lambda: write(store, b"lock", key=Key.LOCK))


def test_a_server_that_is_not_there(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    location = s3("state.json")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert "error sending request" in failure(lambda: open_store(location).read(Key.STATE))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_ENDPOINT_URL", "minio:9000"),
        ("AWS_ENDPOINT_URL", ""),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:99999"),
        ("AWS_ENDPOINT_URL", "http://[::1"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9\n"),
        ("AWS_SESSION_TOKEN", "token\n"),
        ("AWS_REGION", "eu-central-1 "),
    ],
)
def test_a_variable_that_obstore_would_die_of_is_named(
    name: str, value: str, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = s3("state.json")
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=f"^{name} ") as caught:
        open_store(location)
    assert not value.strip() or value.strip() not in str(caught.value)
