import json
import tomllib
from pathlib import Path

import jsonschema
import pytest

from reconciler.cli import accounts, config
from reconciler.cli.config import DEFAULT_URL, Settings, find_root, read, read_state
from reconciler.core.safety import Budget
from reconciler.errors import ConfigurationError
from reconciler.schema import schema_folder

LOGIN = {"ALERTSITE_USERNAME": "me@example.com", "ALERTSITE_PASSWORD": "secret"}


def test_nothing_set_means_the_sandbox() -> None:
    assert read({"PATH": "/bin"}) is None


def test_a_login_for_the_vendor() -> None:
    assert read(LOGIN) == Settings(DEFAULT_URL, "me@example.com", "secret", "")


def test_no_secret_shows() -> None:
    assert "secret" not in repr(read({**LOGIN, "ALERTSITE_TOKEN": "secret-token"}))


def test_a_token_is_enough() -> None:
    assert read({"ALERTSITE_TOKEN": "t"}) == Settings(DEFAULT_URL, "", "", "t")


def test_a_login_may_stand_beside_a_token() -> None:
    assert read({**LOGIN, "ALERTSITE_TOKEN": "t"}) == Settings(
        DEFAULT_URL, "me@example.com", "secret", "t"
    )


def test_the_url_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("https://alertsite.example.com/api/v3\n")
    found = read({**LOGIN, "ALERTSITE_URL_FILE": str(file)})
    assert found is not None
    assert found.url == "https://alertsite.example.com/api/v3"


@pytest.mark.parametrize("value", ["", "0", "false"])
def test_ci_may_say_no(value: str) -> None:
    assert read({"CI": value}) is None


def test_values_may_stand_in_files(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("s3cret\n")
    found = read({"ALERTSITE_USERNAME": "me@example.com", "ALERTSITE_PASSWORD_FILE": str(file)})
    assert found == Settings(DEFAULT_URL, "me@example.com", "s3cret", "")


@pytest.mark.parametrize(
    "url",
    [
        "https://alertsite.example.com/api/v3",
        "http://127.0.0.1:8080/api/v3",
        "http://localhost/api/v3",
        "http://[::1]:8080/api/v3",
    ],
)
def test_urls_that_are_accepted(url: str) -> None:
    found = read({**LOGIN, "ALERTSITE_URL": url + "/"})
    assert found is not None
    assert found.url == url


REFUSED = {
    "CI without credentials": ({"CI": "true"}, "CI is"),
    "an empty password": (
        {**LOGIN, "ALERTSITE_PASSWORD": ""},
        "ALERTSITE_PASSWORD is empty or not set",
    ),
    "no username": ({"ALERTSITE_PASSWORD": "x"}, "ALERTSITE_USERNAME is empty or not set"),
    "only a URL": ({"ALERTSITE_URL": DEFAULT_URL}, "ALERTSITE_USERNAME and ALERTSITE_PASSWORD are"),
    "a misspelt name": ({"ALERTSITE_USER": "me"}, "ALERTSITE_USERNAME and ALERTSITE_PASSWORD are"),
    "an empty token": ({"ALERTSITE_TOKEN": ""}, "ALERTSITE_USERNAME and ALERTSITE_PASSWORD are"),
    "value and file": ({**LOGIN, "ALERTSITE_PASSWORD_FILE": "x"}, "are both set"),
    "missing file": (
        {"ALERTSITE_USERNAME": "a", "ALERTSITE_PASSWORD_FILE": "/nowhere"},
        "No such file",
    ),
    "no scheme": ({**LOGIN, "ALERTSITE_URL": "api.alertsite.com"}, "must be https"),
    "other scheme": ({**LOGIN, "ALERTSITE_URL": "ftp://example.com"}, "must be https"),
    "no host": ({**LOGIN, "ALERTSITE_URL": "https:///api"}, "must be https"),
    "credentials in it": ({**LOGIN, "ALERTSITE_URL": "https://a:secret@example.com"}, "or a login"),
    "a space in it": ({**LOGIN, "ALERTSITE_URL": "https://exa mple.com"}, "contains a space"),
    "a line break in the token": ({"ALERTSITE_TOKEN": "secret\n"}, "ALERTSITE_TOKEN contains"),
    "other bytes": ({**LOGIN, "ALERTSITE_PASSWORD": "secret\udcff"}, "PASSWORD is not UTF-8"),
    "bad port": ({**LOGIN, "ALERTSITE_URL": "https://example.com:x/"}, "its host and port$"),
    "half an address": ({**LOGIN, "ALERTSITE_URL": "https://[::1/api"}, "its host and port$"),
    "unencrypted": ({**LOGIN, "ALERTSITE_URL": "http://example.com/api"}, "unencrypted"),
    "unencrypted address": ({**LOGIN, "ALERTSITE_URL": "http://192.0.2.1/api"}, "unencrypted"),
}


@pytest.mark.parametrize(("environment", "message"), REFUSED.values(), ids=REFUSED)
def test_settings_that_are_refused(environment: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        read(environment)
    assert "secret" not in str(caught.value) + caught.value.hint


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        read({"ALERTSITE_USERNAME": "a", "ALERTSITE_PASSWORD_FILE": str(file)})


def test_a_project_file_that_cannot_be_read_is_never_taken_for_none(tmp_path: Path) -> None:
    """The budget would be that of nobody."""
    path = tmp_path / "reconciler.toml"
    assert find_root(tmp_path) == tmp_path
    path.symlink_to("nowhere.toml")
    (tmp_path / "below").mkdir()
    assert find_root(tmp_path / "below") == tmp_path
    with pytest.raises(ConfigurationError, match=r"reconciler\.toml cannot be read: No such file"):
        read_state({}, path)
    path.unlink()
    path.mkdir()
    with pytest.raises(ConfigurationError, match="it is not a regular file") as caught:
        read_state({}, path)
    assert "permission" not in caught.value.hint


@pytest.mark.parametrize(
    ("text", "why"),
    {
        "a = " + "[" * 20_000: "it is nested too deep",
        "a = " + "{a=" * 15_000: "it is nested too deep",
        "a = " + "9" * 5_000: "a number has too many digits",
        "a = 1\na = 2": "Cannot overwrite a value",
    }.items(),
    ids=["lists", "tables", "digits", "twice"],
)
def test_a_project_file_that_is_no_toml(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "reconciler.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=f"reconciler.toml is not TOML: {why}"):
        read_state({}, path)


def test_the_schema_of_the_file_says_what_is_read() -> None:
    """An editor offers all that is read, and nothing else."""
    schema = json.loads((schema_folder() / "settings.schema.json").read_text())
    others = {config.PRUNE, "budget", "secrets", "lint", *config.OF_ACCOUNTS}
    assert set(schema["properties"]) == {*config._KEYS, *others}
    tables = schema["properties"]
    for table in (tables["defaults"], tables["accounts"]["additionalProperties"]):
        assert set(table["properties"]) == set(accounts._ACCOUNT)
    assert set(tables["fleet"]["properties"]) == set(accounts._FLEET)
    assert tuple(tables["budget"]["properties"]) == Budget._fields
    assert tuple(tables["secrets"]["properties"]) == config._LISTS
    severity = tables["lint"]["properties"]["severity"]["additionalProperties"]
    assert tuple(severity["enum"]) == config._SEVERITIES
    template = Path(config.__file__).parents[1] / "templates" / "reconciler.toml"
    lines = template.read_text().splitlines()
    shown = [line[2:] for line in lines if " = " in line or line.startswith("# [")]
    jsonschema.Draft202012Validator(schema).validate(tomllib.loads("\n".join(shown)))
