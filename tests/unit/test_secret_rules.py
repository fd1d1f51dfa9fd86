from pathlib import Path

import pytest

from reconciler.core.model import SecretRef
from reconciler.secrets import SecretRules, own_files

from build import SCHEMAS, desired


def refusal(rules: SecretRules, scheme: str, name: str) -> str:
    return rules.refusal(SecretRef(scheme, name))


@pytest.mark.parametrize(
    ("rules", "allowed", "refused"),
    [
        (
            SecretRules(),
            ["POP3_PASSWORD", "X"],
            ["ALERTSITE_TOKEN", "github_token", "AWS_X", "CI_X"],
        ),
        (SecretRules(env=("A_*", "GITHUB_TOKEN")), ["A_B", "GITHUB_TOKEN"], ["B", "AWS_X", "a_b"]),
        (SecretRules(env=("*",)), ["AWS_X", "CI_JOB_TOKEN"], ["ALERTSITE_X", "RECONCILER_X"]),
        (SecretRules(env=()), [], ["POP3_PASSWORD"]),
        (SecretRules(files=("/x",)), [], ["POP3_PASSWORD"]),
        (SecretRules(fields=("note",)), ["POP3_PASSWORD"], ["AWS_X"]),
    ],
)
def test_variables(rules: SecretRules, allowed: list[str], refused: list[str]) -> None:
    assert [refusal(rules, "env", name) for name in allowed] == [""] * len(allowed)
    assert all(f"environment variable {name}" in refusal(rules, "env", name) for name in refused)


@pytest.mark.parametrize(
    ("rules", "allowed", "refused"),
    [
        (
            SecretRules(),
            ["/run/secrets/smtp", "secret", "/process", "a\0b"],
            [
                *("/proc/self/environ", "/proc/../proc/1/environ", "/dev", "/sys/x"),
                *("/root/.ssh/id", ".aws/credentials", "/run/secrets/kubernetes.io/x/token"),
                *("/root/.pgpass", "/home/runner/.credentials"),
            ],
        ),
        (
            SecretRules(files=("/run/secrets/*", "here")),
            ["/run/secrets/a", "/run/secrets/a/b", "/run/secrets/../secrets/a", "here"],
            ["/run/secrets", "/run/secrets/../x", "/run/other", "there", "/proc/1/environ"],
        ),
        (SecretRules(files=("/*",)), ["/x", "/root/.ssh/id"], ["/proc/x", "/dev/x"]),
        (SecretRules(files=("*",)), ["x"], ["/x", "../x"]),
        (SecretRules(env=("X",)), [], ["/run/secrets/a"]),
    ],
)
def test_files(rules: SecretRules, allowed: list[str], refused: list[str]) -> None:
    assert [refusal(rules, "file", path) for path in allowed] == [""] * len(allowed)
    assert all(path in refusal(rules, "file", path) for path in refused)


def test_links_are_followed_in_paths_and_in_patterns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "out").symlink_to("/proc/self")
    for pattern in ("link/*", "real/*", f"{tmp_path}/link/?"):
        for path in ("link/a", "real/a", f"{tmp_path}/real/a"):
            assert refusal(SecretRules(files=(pattern,)), "file", path) == ""
    assert "leads to /proc/" in refusal(SecretRules(files=("*",)), "file", "out/environ")


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "DATABASE_URL"])
def test_what_holds_the_login_of_a_proxy_or_a_database(name: str) -> None:
    """The first are used by this tool itself."""
    assert "for their own credentials" in refusal(SecretRules(), "env", name)


def test_plug_ins() -> None:
    assert refusal(SecretRules(), "vault", "a/b") == ""
    assert refusal(SecretRules(plugins=("vault:a/*",)), "vault", "a/b") == ""
    assert "vault:b is not in plugins" in refusal(SecretRules(env=("*",)), "vault", "b")


def test_the_files_of_the_tool() -> None:
    environment = {"ALERTSITE_TOKEN_FILE": "a", "RECONCILER_SECRET_KEY_FILE": "b", "X_FILE": "c"}
    rules = SecretRules(files=("*",), own_files=own_files(environment))
    assert [bool(refusal(rules, "file", path)) for path in "abc"] == [True, True, False]


def test_every_field_of_a_schema_is_shown_unless_it_says_otherwise() -> None:
    for kind, schema in SCHEMAS.documents.items():
        one = desired(kind=kind)
        for name in schema["properties"]["spec"]["properties"]:
            assert SecretRules().shows(one, name)
            assert not SecretRules(fields=(name,)).shows(one, name)
        assert not SecretRules().shows(one, "pop3_password")
