"""The state in an object store: `s3://BUCKET/KEY`, `gs://BUCKET/KEY`, `az://CONTAINER/KEY`.

Rule: this module is the only importer of obstore, an optional package; what it raises is translated
here. Comparing and replacing is one conditional put, by ETag or, on Google Cloud, by generation.

Who asks and where is in the environment, under the names that obstore reads:
- S3 and what speaks it: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`,
  `AWS_REGION`, `AWS_ENDPOINT_URL`, `AWS_ALLOW_HTTP`; otherwise the role of the machine. Profiles in
  `~/.aws` are not read.
- Google Cloud: `GOOGLE_SERVICE_ACCOUNT` (a file), `GOOGLE_APPLICATION_CREDENTIALS`.
- Azure: `AZURE_STORAGE_ACCOUNT_NAME` with `AZURE_STORAGE_ACCOUNT_KEY` or `AZURE_STORAGE_SAS_KEY`.

Deleting is not conditional on S3, so a released lock is an empty object, which counts as nothing.
"""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import AzureStore, GCSStore, S3Store

from reconciler.context import waiting
from reconciler.errors import ConfigurationError, StateError, without_logins
from reconciler.state_store.port import Held, Key, RunFile, Store, conflict, files_of_runs, unknown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from obstore import Attributes, PutMode, UpdateVersion
    from obstore.store import RetryConfig

    from reconciler.core.redactor import Redactor


_CLIENTS = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}
_PREFIXES = {"s3": "AWS_", "gs": "GOOGLE_", "az": "AZURE_STORAGE_"}
"""What the names of its variables begin with."""
# One request takes 30 s at most, which obstore sets; the last one begins within these 25 s.
_RETRIES: RetryConfig = {"max_retries": 5, "retry_timeout": timedelta(seconds=25)}
_ATTEMPTS = 3
_FAILURES = (BaseError, OSError, ValueError)
_REFUSALS = (AlreadyExistsError, PreconditionError)
_CERTAIN = (FileNotFoundError, PermissionDeniedError, UnauthenticatedError)
"""Answers that no put gets which took effect."""
_NO_BUCKET = re.compile("NoSuchBucket|ContainerNotFound|bucket does not exist", re.IGNORECASE)
_CODE = re.compile("<Code>(.*?)</Code>.*?<Message>(.*?)</Message>", re.DOTALL)
_BODY = re.compile(r"(status code: [0-9]{3}[^:]*):.*", re.DOTALL)
_LONGEST_REASON = 300
# What no object ever has.
_NEVER = {"s3": '"0"', "gs": "0", "az": '"0"'}
_MARK = "save"  # Azure takes no hyphen, and some proxies no underscore


class _Object(NamedTuple):
    """An object as it is now.

    Attributes:
        version: its ETag, or its generation on Google Cloud.
        mark: what the write that made it was marked with; None if the server keeps no metadata.
    """

    data: bytes
    version: str
    mark: str | None


class ObjectStore(Store):
    """Keeps the state in an object store.

    Args:
        location: as the user wrote it.
        client: the bucket.
        key: where in the bucket.
        folder: in which `.reconciler` with the journals is.
        redactor: see `Store`.
    """

    def __init__(
        self,
        location: str,
        client: S3Store | GCSStore | AzureStore,
        key: str,
        folder: Path,
        redactor: Redactor,
    ) -> None:
        self._scheme = location.partition(":")[0]
        prefix = f"{self._scheme}-{hashlib.sha256(location.encode()).hexdigest()[:12]}."
        super().__init__(location, folder / ".reconciler", prefix, redactor)
        self._client = client
        self._names = {Key.STATE: key, Key.LOCK: f"{key}.lock"}
        self._backup = f"{key}.backup"
        self._runs = f"{key}.runs"
        self._is_kept = False
        self._honours_conditions = False

    def read(self, key: Key) -> Held | None:
        """See `Store`."""
        found = self._get(key)
        if found is None or (key is Key.LOCK and not found.data):
            return None
        return Held(found.data, found.version)

    def _write(
        self, key: Key, data: bytes, expected: str | None, message: str, run: RunFile | None
    ) -> str:
        if key is Key.STATE:
            self._keep(expected)
        # The run first: without it the state stays as it is. A killed run may have come so far.
        if run is not None and run.id not in self._places():
            path = f"{self._runs}/{run.name}"
            # It is there already after a put whose answer was lost.
            with self._asking(f"write {path} beside"), suppress(AlreadyExistsError):
                obstore.put(self._client, path, run.data, mode="create", use_multipart=False)
        name = self._names[key]
        for _ in range(_ATTEMPTS):
            mark = os.urandom(8).hex()
            try:
                mode = self._mode(key, expected)
                marks: Attributes = {_MARK: mark}
                done = obstore.put(
                    self._client, name, data, mode=mode, attributes=marks, use_multipart=False
                )
                self._test_conditions(name, data)
            except _FAILURES as error:
                version = self._resolve(key, data, expected, mark, error)
            else:
                version = self._version(done)
            if version is not None:
                return version
        raise StateError(
            f"cannot write {self.location}: the server rejects the write although nothing changed",
            "Run the same command again later.",
        )

    def trim(self, most: int) -> None:
        """See `Store`."""
        with self._asking("remove old runs of"):
            for name in [*self._places().values()][most:]:
                obstore.delete(self._client, f"{self._runs}/{name}")

    def backup(self) -> str:
        """See `Store`."""
        bucket = self.location.split("/")[2]
        return (
            f"the state before the last run is in {self._backup} of the bucket {bucket}, and "
            "earlier ones are in its versions if it keeps them"
        )

    @contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        """Waits for the server, and says what could not be done with the state."""
        try:
            with waiting():
                yield
        except _FAILURES as error:
            raise self._problem(what, error) from error

    def _places(self) -> dict[str, str]:
        with self._asking("read the runs of"):
            pages = [*obstore.list(self._client, prefix=self._runs)]
        return files_of_runs(item["path"].rpartition("/")[2] for page in pages for item in page)

    def _read_run(self, place: str) -> bytes | None:
        with self._asking("read a run of"), suppress(FileNotFoundError):
            return bytes(obstore.get(self._client, f"{self._runs}/{place}").bytes())
        return None

    def _mode(self, key: Key, expected: str | None) -> PutMode:
        if expected is not None:
            return self._update(expected)
        released = self._get(key) if key is Key.LOCK else None
        if released is None:
            return "create"
        if released.data:
            raise conflict(self.location)
        return self._update(released.version)

    def _resolve(
        self, key: Key, data: bytes, expected: str | None, mark: str, error: Exception
    ) -> str | None:
        """What a put that failed has led to: it arrived all the same, or an error.

        Even a refusal may be the answer to a repetition of a put that had arrived.
        """
        try:
            now = self._get(key)
        except StateError as second:
            if isinstance(error, _CERTAIN):
                raise self._problem("write", error) from error
            raise unknown(self.location, f"{_reason(error)}; then {second}") from error
        if now is not None and (mark == now.mark if now.mark is not None else data == now.data):
            return now.version
        if now is not None and key is Key.LOCK and not now.data:
            now = None
        if now is None and key is Key.LOCK and not data:
            return ""  # released already
        if (now and now.version) != expected:
            raise conflict(self.location) from error
        if isinstance(error, _REFUSALS):
            return None
        raise self._problem("write", error) from error

    def _get(self, key: Key) -> _Object | None:
        with self._asking("read"):
            try:
                found = obstore.get(self._client, self._names[key])
                data = bytes(found.bytes())
            except FileNotFoundError as error:
                if _NO_BUCKET.search(str(error)):  # or a typing error would look like no state
                    raise
                return None
        mark = found.attributes.get(_MARK)
        return _Object(data, self._version(found.meta), None if mark is None else str(mark))

    def _keep(self, expected: str | None) -> None:
        """Copies the state aside before this run writes its first one."""
        if not self._is_kept and expected is not None:
            now = self._get(Key.STATE)
            if now is None or now.version != expected:
                raise conflict(self.location)
            with self._asking(f"keep {self._backup}, a copy of"):
                obstore.put(self._client, self._backup, now.data, use_multipart=False)
        self._is_kept = True

    def _test_conditions(self, name: str, data: bytes) -> None:
        """Refuses a server that ignores conditions, on which two runs would overwrite each other.

        Raises:
            StateError: it carried out a put on a condition that does not hold.
        """
        if self._honours_conditions:
            return
        try:
            never = self._update(_NEVER[self._scheme])
            obstore.put(self._client, name, data, mode=never, use_multipart=False)
        except _REFUSALS:
            self._honours_conditions = True
            return
        except _FAILURES:  # no answer; the next write asks again
            return
        raise StateError(
            f"{self.location} cannot be used: its server ignores conditions on writes, so two runs "
            "would overwrite each other",
            "Update the server, or store the state elsewhere, such as git:REMOTE.",
        )

    def _version(self, meta: Mapping[str, object]) -> str:
        version = meta["version" if self._scheme == "gs" else "e_tag"]
        if version is None:
            raise StateError(
                f"{self.location} cannot be used: its server sends no ETags, which reconciler "
                "needs to compare writes",
                "Store the state elsewhere, such as git:REMOTE.",
            )
        return str(version)

    def _update(self, version: str) -> UpdateVersion:
        return {"version": version} if self._scheme == "gs" else {"e_tag": version}

    def _problem(self, what: str, error: Exception) -> StateError:
        return StateError(
            f"cannot {what} {self.location}: {_reason(error)}",
            f"Check the bucket, the network, the {_PREFIXES[self._scheme]}… variables, and the "
            "permission to list the bucket and to read and write there.",
        )


def open_objects(location: str, folder: Path, redactor: Redactor) -> ObjectStore:
    """The store in a bucket.

    Args:
        location: `SCHEME://BUCKET/KEY`, as the user wrote it; a KEY that is empty or ends in a
            slash is a folder.
        folder: the current folder, for the journals.
        redactor: see `Store`.

    Raises:
        ConfigurationError: it is not of that form, or the environment does not say who asks.
    """
    scheme, _, rest = location.partition("://")
    bucket, _, key = rest.partition("/")
    if "@" in bucket or (":" in bucket and "@" in key) or "?" in rest:
        raise ConfigurationError(
            f"{location!r} contains a login or a query",
            f"Write {scheme}://BUCKET/KEY, and set the {_PREFIXES[scheme]}… variables.",
        )
    if not key or key.endswith("/"):
        key += "state.json"
    if not bucket or any(part in {"", ".", ".."} for part in key.split("/")):
        raise ConfigurationError(
            f"{location!r} names no object", f"Write {scheme}://BUCKET/KEY, without empty parts."
        )
    for name, value in os.environ.items():  # obstore would end the process for some
        if not name.startswith(_PREFIXES[scheme]):
            continue
        if value != value.strip() or re.search(r"[\x00-\x1f\x7f]", value):
            raise ConfigurationError(
                f"{name} contains a line break, or a blank at an end", "Set it again without."
            )
        if name.startswith("AWS_ENDPOINT") and not _is_server(value):
            raise ConfigurationError(
                f"{name} is not the URL of a server",
                "Write https://HOST or https://HOST:PORT, or unset it.",
            )
    try:
        client = _CLIENTS[scheme](bucket, retry_config=_RETRIES)
    except _FAILURES as error:
        raise ConfigurationError(
            f"{location} cannot be used: {_reason(error)}",
            f"Check the {_PREFIXES[scheme]}… variables.",
        ) from error
    return ObjectStore(location, client, key, folder, redactor)


def _is_server(url: str) -> bool:
    try:
        found = urlsplit(url)
        return found.scheme in {"http", "https"} and bool(found.hostname) and found.port != 0
    except ValueError:  # a port or an address that cannot be
        return False


def _reason(error: Exception) -> str:
    """What the server or obstore says, on one line and without its debugging output.

    Of an answer that is not in the words of an object store, only its status.
    """
    text = str(error).partition("\n\nDebug source")[0]
    coded = _CODE.search(text)
    if coded is not None:
        return ": ".join(coded.groups())
    # Before it is cut. On Azure a signature may stand in a query.
    line = without_logins(" ".join(_BODY.sub(r"\1", text).split()))
    return line if len(line) <= _LONGEST_REASON else line[:_LONGEST_REASON] + "…"
