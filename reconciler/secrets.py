"""What secretRefs lead to: which may be followed, and what they hold.

Whoever may write a manifest decides what is sent to AlertSite, and AlertSite shows most of it to
everybody who may see the monitor. So a secretRef must not lead to whatever the runner happens to
hold. Three rules, each of which a finding names at its place:

- What belongs to this tool is never resolved: its variables, and the files that they name.
- What else is resolved is listed under `[secrets]` in `reconciler.toml`. Without a list it is all
  but what pipelines, clouds and other programs keep their own credentials in. These lists of what
  is known to be none of our business cannot be complete; a list of what is allowed is.
- A field that AlertSite shows holds no secret, unless `fields` under `[secrets]` names it.

Links are followed before a path is judged, in manifests and in lists alike.

A secret is looked up once, masked, and revealed only to be sent. None is in an exception, a repr,
a text or a pickle that is made here. The schemes `env` and `file` are built in; any other is an
entry point of the group `reconciler.secrets`, a function from a name to a secret.
"""

from __future__ import annotations

import hmac
import os
import threading
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Generic, NamedTuple, NoReturn, TypeVar

from reconciler import durable
from reconciler.context import waiting
from reconciler.core.model import JSON, SECRET_REF, SecretRef, canonical, secret_refs
from reconciler.core.printable import is_unicode
from reconciler.core.redactor import Redactor
from reconciler.errors import ConfigurationError, is_interrupt

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from importlib.metadata import EntryPoint

    from reconciler.core.accounts import Reference
    from reconciler.core.model import Desired


_OWN = ("ALERTSITE_*", "RECONCILER_*")
_KNOWN = (
    *("ACTIONS_*", "GITHUB_*", "GH_*", "RUNNER_*", "INPUT_*"),
    *("CI_*", "GITLAB_*", "SYSTEM_ACCESSTOKEN", "BUILDKITE_*", "CIRCLE_*", "BITBUCKET_*"),
    *("DRONE_*", "JENKINS_*", "TRAVIS_*", "TEAMCITY_*", "BITRISE_*", "CODEBUILD_*"),
    *("AWS_*", "AZURE_*", "ARM_*", "MSI_*", "IDENTITY_*", "GOOGLE_*", "GCP_*", "GCLOUD_*"),
    *("CLOUDSDK_*", "DIGITALOCEAN_*", "HCLOUD_*", "LINODE_*", "CLOUDFLARE_*", "ALICLOUD_*"),
    *("KUBECONFIG", "KUBERNETES_*", "VAULT_*", "CONSUL_*", "OP_*", "SOPS_*", "TF_*", "PULUMI_*"),
    *("DOCKER_*", "NPM_*", "NODE_AUTH_TOKEN", "PIP_*", "UV_*", "TWINE_*", "POETRY_*"),
    *("SSH_*", "GPG_*", "GIT_*", "NETRC", "PGPASSWORD", "MYSQL_PWD", "DATABASE_URL", "SENTRY_*"),
    *("HEROKU_*", "DOPPLER_*", "SLACK_*", "SNYK_*", "SONAR_*", "DATADOG_*", "CARGO_REGISTRY_*"),
    "*_PROXY",  # with a login, which this tool uses too
)
"""Variables in which pipelines, clouds and other programs keep their own credentials."""
_NO_FILES = ("/proc", "/dev", "/sys")
"""Folders of what only looks like files: processes, devices, the kernel."""
_KNOWN_PARTS = frozenset(
    (
        *(".ssh", ".gnupg", ".aws", ".azure", ".config", ".kube", ".docker", ".git", ".netrc"),
        *(".git-credentials", ".npmrc", ".pypirc", ".terraform.d", ".vault-token"),
        *(".pgpass", ".my.cnf", ".s3cfg", ".boto", ".m2", ".gradle", ".cargo", ".gem"),
        *(".credentials", ".credentials_rsaparams"),  # of the runner of a pipeline
        *("kubernetes.io", "eks.amazonaws.com", "azure.workload.identity"),
    )
)
"""Files and folders in which they do so too, at home or mounted by a cluster."""
_TABLE = "[secrets] in reconciler.toml"


class SecretRules(NamedTuple):
    """What `[secrets]` allows; a list that is None was not given.

    Attributes:
        env: patterns of the names of variables.
        files: patterns of paths, in which `*` stands for folders too.
        plugins: patterns of `SCHEME:NAME`, for all other schemes.
        fields: patterns of the names of fields that AlertSite shows and that may hold a secret.
        own_files: the files in which this tool's own credentials are.
        own_variables: the variables in which they are, beside those with a name of this tool.
    """

    env: tuple[str, ...] | None = None
    files: tuple[str, ...] | None = None
    plugins: tuple[str, ...] | None = None
    fields: tuple[str, ...] = ()
    own_files: tuple[str, ...] = ()
    own_variables: tuple[str, ...] = ()

    def refusal(self, ref: SecretRef) -> str:
        """Why a secret is not resolved; empty if it may be."""
        match ref.scheme:
            case "env":
                return self._refused_variable(ref.name)
            case "file":
                return self._refused_file(ref.name)
            case _ if self._is_listed and not _matches(str(ref), self.plugins or ()):
                return f"{ref} is not in plugins under {_TABLE}"
        return ""

    def shows(self, desired: Desired, field: str) -> bool:
        """Whether a secret in that field would be there for all to see, and nobody allowed it."""
        known = desired.kind.fields.get(field)
        return known is not None and known.is_shown and not _matches(field, self.fields)

    @property
    def _is_listed(self) -> bool:
        """Whether only what is listed is allowed."""
        return any(patterns is not None for patterns in (self.env, self.files, self.plugins))

    def _refused_variable(self, name: str) -> str:
        what = f"the environment variable {name}"
        if _matches(name.upper(), _OWN) or name in self.own_variables:
            return f"{what} belongs to this tool and is never resolved"
        if self._is_listed:
            return "" if _matches(name, self.env or ()) else f"{what} is not in env under {_TABLE}"
        if _matches(name.upper(), _KNOWN):
            return (
                f"{what} is used by pipelines or clouds for their own credentials; if this is "
                f"intended, list the allowed ones as env under {_TABLE}"
            )
        return ""

    def _refused_file(self, path: str) -> str:
        try:
            real = os.path.realpath(path)
        except ValueError:  # a null character; reading it says so
            return ""
        leads = "" if real == path else f", which leads to {real},"
        if real in map(os.path.realpath, self.own_files):
            return f"{path} is a credential of this tool and is never resolved"
        if any(real == folder or real.startswith(f"{folder}/") for folder in _NO_FILES):
            return f"{path}{leads} is not a file of secrets"
        if self._is_listed:
            is_in = _matches(real, map(_real_pattern, self.files or ()))
            return "" if is_in else f"{path}{leads} is not in files under {_TABLE}"
        if parts := _KNOWN_PARTS.intersection(real.split("/")):
            return (
                f"{path}{leads} is in {min(parts)}, where other programs store their credentials; "
                f"if this is intended, list the allowed ones as files under {_TABLE}"
            )
        return ""


def own_files(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The files that the variables of this tool name."""
    return tuple(
        path
        for name, path in sorted(environment.items())
        if name.endswith("_FILE") and _matches(name, _OWN) and path
    )


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _real_pattern(pattern: str) -> str:
    """The pattern of what the paths that it stands for lead to."""
    plain, wild = pattern, ""
    while any(char in plain for char in "*?["):
        plain, _, last = plain.rpartition("/")
        wild = f"/{last}{wild}"
    real = os.path.realpath(plain) if plain or not pattern.startswith("/") else ""
    return f"{real}{wild}"


Resolver = Callable[[str], str]
"""Gives the secret of that name; raises a LookupError, whose text says why it cannot."""

_GROUP = "reconciler.secrets"
_BUILT_IN = ("env", "file")
_MOST = 64 * 1024
"""Bytes in the largest file that is taken for a secret; /dev/zero is not."""
_LENGTH, _DISTINCT = 16, 6
"""Characters that a key has at least, and different ones: far fewer than it should have."""
_MARK = 4
_UNLISTED = SecretRules()
_Value = TypeVar("_Value")


class _Uncopied:
    """Something that holds a secret, and so cannot be copied or pickled."""

    __slots__ = ()

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise TypeError("a secret is not copied or stored")

    def __getstate__(self) -> NoReturn:
        raise TypeError("a secret is not copied or stored")


class Vault(_Uncopied):
    """Resolves secretRefs once each, into values that no repr, text, JSON or pickle shows.

    It may be used by several threads.

    Attributes:
        redactor: is told every secret that is found.
    """

    __slots__ = ("__environment", "__found", "__key", "__lock", "__rules", "redactor")

    def __init__(
        self,
        environment: Mapping[str, str],
        key: str,
        rules: SecretRules = _UNLISTED,
        redactor: Redactor | None = None,
    ) -> None:
        """Nothing is looked up yet.

        Args:
            environment: the variables that `env` names.
            key: what fingerprints are made with; empty for none.
            rules: which secrets may be resolved.
            redactor: that of the run; None for one of its own.
        """
        self.__rules = rules
        self.redactor = redactor or Redactor()
        self.redactor.know(key)
        self.__environment = _Masked(environment)
        self.__key = _Masked(key)
        self.__found: dict[SecretRef, _Masked[str] | str] = {}
        self.__lock = threading.Lock()

    @property
    def tracks(self) -> bool:
        """Whether there is a key, and so fingerprints."""
        return bool(self.__key.reveal())

    @property
    def key_mark(self) -> str:
        """What tells another key from this one: 16 bits, too few to find out which one it is."""
        key = self.__key.reveal().encode(errors="surrogateescape")  # any bytes make a key
        return hmac.digest(key, b"reconciler: which key", "sha256").hex()[:_MARK]

    @property
    def key_weakness(self) -> str:
        """Why the key could be guessed by whoever reads the state; empty if there is none, or not.

        Who has guessed it can try out passwords against the fingerprints.
        """
        key = self.__key.reveal()
        if not key or (len(key) >= _LENGTH and len(set(key)) >= _DISTINCT):
            return ""
        noun = "character" if len(key) == 1 else "characters"
        count = f"{len(key)} {noun}" if len(key) < _LENGTH else f"few different {noun}"
        return f"RECONCILER_SECRET_KEY has only {count}, so it can be guessed from the state"

    def failure(self, ref: SecretRef) -> str:
        """Why the secret is not available; empty if it is."""
        found = self.__resolved(ref)
        return found if isinstance(found, str) else ""

    def learn(self, manifests: Iterable[Desired]) -> None:
        """Tells the redactor the secrets of the manifests that are at hand at no cost.

        What is not, is neither sent nor shown, so it is no fault here.
        """
        for value in (value for item in manifests for value in item.secrets.values()):
            for found in secret_refs(value):
                if found.ref.scheme in _BUILT_IN:
                    self.__resolved(found.ref)

    def reveal(self, value: JSON) -> JSON:
        """The value with the secrets in place of their references. Only for what is sent.

        Raises:
            ConfigurationError: one of them is not available, which `failure` says beforehand.
        """
        if isinstance(value, dict):
            if SECRET_REF in value:
                (secret,) = self.revealed(value)
                return secret
            return {key: self.reveal(item) for key, item in value.items()}
        return [self.reveal(item) for item in value] if isinstance(value, list) else value

    def revealed(self, value: JSON) -> tuple[str, ...]:
        """The secrets in the value: what must not stand in anything that is shown.

        Raises:
            ConfigurationError: as `reveal`.
        """
        return tuple(self.__secret(found.ref) for found in secret_refs(value))

    def fingerprint(self, number: int, field: str, value: JSON) -> str:
        """What tells whether the secrets in a field changed, and nothing else about them.

        The monitor and the field are in it, so that equal secrets do not look equal.

        Raises:
            ConfigurationError: as `reveal`.
            ValueError: there is no key.
        """
        if not self.tracks:
            raise ValueError("without a key there are no fingerprints")
        key = self.__key.reveal().encode(errors="surrogateescape")  # any bytes make a key
        text = canonical([number, field, self.reveal(value)])
        mac = hmac.digest(key, text.encode(), "sha256").hex()
        return f"hmac-sha256:{self.key_mark}:{mac}"

    def __secret(self, ref: SecretRef) -> str:
        found = self.__resolved(ref)
        if isinstance(found, str):
            raise ConfigurationError(f"the secret {ref} is not available: {found}")
        return found.reveal()

    def __resolved(self, ref: SecretRef) -> _Masked[str] | str:
        """The secret, or why it is not available."""
        with self.__lock:
            if ref not in self.__found:
                self.__found[ref] = self.__rules.refusal(ref) or self.__looked_up(ref)
            return self.__found[ref]

    def __looked_up(self, ref: SecretRef) -> _Masked[str] | str:
        try:
            secret = _look_up(ref, self.__environment.reveal())
        except LookupError as error:
            return str(error)
        self.redactor.know(secret)
        return _Masked(secret)


class _Masked(_Uncopied, Generic[_Value]):
    """A value that has to be asked for."""

    __slots__ = ("reveal",)

    def __init__(self, value: _Value) -> None:
        # In a closure, where what dumps attributes, at whatever depth, does not come.
        self.reveal: Callable[[], _Value] = lambda: value

    def __repr__(self) -> str:
        return "(secret)"

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)


def _look_up(ref: SecretRef, environment: Mapping[str, str]) -> str:
    """The secret; whatever goes wrong is a LookupError whose text says why."""
    name = ref.name
    if ref.scheme == "env":
        text = environment.get(name, "")
        if not text:
            raise LookupError(f"the environment variable {name} is empty or not set")
        if not is_unicode(text):
            raise LookupError(f"the environment variable {name} is not UTF-8")
        return text
    if ref.scheme != "file":
        return _from_plug_in(ref)
    try:
        text = durable.read_regular(name, _MOST).decode()
    except OSError as error:
        raise LookupError(f"cannot read {name}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise LookupError(f"cannot read {name}: it is not UTF-8") from None
    except ValueError as error:  # a null character in the path
        raise LookupError(f"cannot read {name}: {error}") from None
    if text.endswith("\n"):  # which editors end it with
        text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise LookupError(f"the file {name} is empty")
    return text


def unknown_scheme(scheme: str) -> str:
    """Why no secret of that scheme can be looked up here; empty if it can."""
    if scheme not in _BUILT_IN:
        try:
            _plug_in(scheme)
        except LookupError as error:
            return str(error)
    return ""


_CMD_SECONDS = 60.0


def look_up(reference: Reference, environment: Mapping[str, str]) -> str:
    """A part of a login, which the settings of an account refer to.

    Raises:
        LookupError: it is not available; the text says why, and nothing of what a command printed.
    """
    if reference.scheme == "cmd":
        return _from_command(reference.words, environment)
    return _look_up(SecretRef(reference.scheme, *reference.words), environment)


def _from_command(words: Sequence[str], environment: Mapping[str, str]) -> str:
    """The first line that a command prints; no shell reads it."""
    import subprocess  # few logins need it

    try:
        with waiting():
            done = subprocess.run(  # noqa: S603 - who may write the settings may choose the command
                words,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_CMD_SECONDS,
                check=False,
            )
    except OSError as error:
        raise LookupError(f"cannot start {words[0]}: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise LookupError(f"{words[0]} took longer than {_CMD_SECONDS:.0f} s") from None
    if done.returncode:
        raise LookupError(f"{words[0]} exited with {done.returncode}")
    try:
        first, *_ = done.stdout.decode().splitlines() or [""]
    except UnicodeDecodeError:
        raise LookupError(f"the output of {words[0]} is not UTF-8") from None
    if not first:
        raise LookupError(f"{words[0]} printed nothing")
    return first


def _from_plug_in(ref: SecretRef) -> str:
    """What a plug-in returns. It is not ours: a run must not end with it, not even by an exit.

    What it raises may quote whatever it works with, such as a token. Only a plain LookupError is
    meant for people; of any other exception its type and place are said.
    """
    plug_in, resolver_of = _plug_in(ref.scheme), f"the resolver of the scheme {ref.scheme}"
    try:
        resolver: Resolver = plug_in.load()
    except BaseException as error:  # noqa: BLE001 - see above
        _raise_interrupt(error)
        missing = f" of {error.name}" if isinstance(error, ImportError) and error.name else ""
        raise LookupError(
            f"cannot load {plug_in.value}, {resolver_of}: {type(error).__name__}{missing}"
        ) from None
    try:
        with waiting():
            secret: object = resolver(ref.name)
    except BaseException as error:  # noqa: BLE001 - see above
        _raise_interrupt(error)
        if type(error) is LookupError:
            raise LookupError(f"{ref}: {str(error) or type(error).__name__}") from None
        raise LookupError(f"{resolver_of} failed: {type(error).__name__}{_place(error)}") from None
    if not isinstance(secret, str) or not secret or not is_unicode(secret):
        raise LookupError(f"{ref}: the resolver of the scheme {ref.scheme} did not return a string")
    return secret


def _plug_in(scheme: str) -> EntryPoint:
    from importlib.metadata import entry_points  # 50 ms

    installed = entry_points(group=_GROUP)
    candidates = [entry for entry in installed if entry.name == scheme]
    if len(candidates) > 1:
        sources = " and ".join(sorted(entry.value for entry in candidates))
        raise LookupError(
            f"several resolvers for the scheme {scheme} are installed: {sources}; keep one"
        )
    if not candidates:
        *others, last = sorted({*_BUILT_IN, *installed.names})
        raise LookupError(
            f"no resolver for the scheme {scheme} is installed; available: {', '.join(others)} and "
            f"{last}"
        )
    return candidates[0]


def _raise_interrupt(error: BaseException) -> None:
    """Raises the interrupt that an exception is, if it is one."""
    if is_interrupt(error):
        raise KeyboardInterrupt from None


def _place(error: BaseException) -> str:
    """The line of a plug-in where an exception was raised; empty if its code was not reached."""
    if error.__traceback__ is None or (below := error.__traceback__.tb_next) is None:
        return ""
    return f" in {Path(below.tb_frame.f_code.co_filename).name}, line {below.tb_lineno}"
