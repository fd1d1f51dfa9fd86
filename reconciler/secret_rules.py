"""Which secrets manifests may name, and where these may go.

Whoever may write a manifest decides what is sent to AlertSite, and AlertSite shows most of it to
everybody who may see the monitor. So a secretRef must not lead to whatever the runner happens to
hold. Three rules, each of which a finding names at its place:

- What belongs to this tool is never resolved: its variables, and the files that they name.
- What else is resolved is listed under `[secrets]` in `reconciler.toml`. Without a list it is all
  but what pipelines, clouds and other programs keep their own credentials in. These lists of what
  is known to be none of our business cannot be complete; a list of what is allowed is.
- A field that AlertSite shows holds no secret, unless `fields` under `[secrets]` names it.

Links are followed before a path is judged, in manifests and in lists alike.
"""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.model import Desired, SecretRef

_OWN = ("ALERTSITE_*", "RECONCILER_*")
_KNOWN = (
    *("ACTIONS_*", "GITHUB_*", "GH_*", "RUNNER_*", "INPUT_*"),
    *("CI_*", "GITLAB_*", "SYSTEM_ACCESSTOKEN", "BUILDKITE_*", "CIRCLE_*", "BITBUCKET_*"),
    *("DRONE_*", "JENKINS_*", "TRAVIS_*", "TEAMCITY_*", "BITRISE_*", "CODEBUILD_*"),
    *("AWS_*", "AZURE_*", "ARM_*", "MSI_*", "IDENTITY_*", "GOOGLE_*", "GCP_*", "GCLOUD_*"),
    *("CLOUDSDK_*", "DIGITALOCEAN_*", "HCLOUD_*", "LINODE_*", "CLOUDFLARE_*", "ALICLOUD_*"),
    *("KUBECONFIG", "KUBERNETES_*", "VAULT_*", "CONSUL_*", "OP_*", "SOPS_*", "TF_*", "PULUMI_*"),
    *("DOCKER_*", "NPM_*", "NODE_AUTH_TOKEN", "PIP_*", "UV_*", "TWINE_*", "POETRY_*"),
    *("SSH_*", "GPG_*", "GIT_*", "NETRC", "PGPASSWORD", "SENTRY_*"),
)
"""Variables in which pipelines, clouds and other programs keep their own credentials."""
_NO_FILES = ("/proc", "/dev", "/sys")
"""Folders of what only looks like files: processes, devices, the kernel."""
_KNOWN_PARTS = frozenset(
    (
        *(".ssh", ".gnupg", ".aws", ".azure", ".config", ".kube", ".docker", ".git", ".netrc"),
        *(".git-credentials", ".npmrc", ".pypirc", ".terraform.d", ".vault-token"),
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
    """

    env: tuple[str, ...] | None = None
    files: tuple[str, ...] | None = None
    plugins: tuple[str, ...] | None = None
    fields: tuple[str, ...] = ()
    own_files: tuple[str, ...] = ()

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
        if _matches(name.upper(), _OWN):
            return f"{what} belongs to this tool and is never resolved"
        if self._is_listed:
            return "" if _matches(name, self.env or ()) else f"{what} is not in env under {_TABLE}"
        if _matches(name.upper(), _KNOWN):
            return (
                f"{what} is one in which pipelines or clouds keep their own credentials; if it is "
                f"meant, list what is allowed as env under {_TABLE}"
            )
        return ""

    def _refused_file(self, path: str) -> str:
        try:
            real = os.path.realpath(path)
        except ValueError:  # a null character; reading it says so
            return ""
        leads = "" if real == path else f", which leads to {real},"
        if real in map(os.path.realpath, self.own_files):
            return f"{path} holds a credential of this tool and is never resolved"
        if any(real == folder or real.startswith(f"{folder}/") for folder in _NO_FILES):
            return f"{path}{leads} is no file of secrets"
        if self._is_listed:
            is_in = _matches(real, map(_real_pattern, self.files or ()))
            return "" if is_in else f"{path}{leads} is not in files under {_TABLE}"
        if parts := _KNOWN_PARTS.intersection(real.split("/")):
            return (
                f"{path}{leads} is in {min(parts)}, where other programs keep their credentials; "
                f"if it is meant, list what is allowed as files under {_TABLE}"
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
