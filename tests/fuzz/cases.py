"""The cases of a search: which input is made odd, how, and which command line meets it.

A case is known by the search's seed and its number alone, so that it can be repeated by itself.
"""

from __future__ import annotations

import json
import os
import shutil
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from fuzz.mutations import PIECES, TEXTS, VALUES, as_json, odd_bytes, odd_value
from fuzz.target import Account, Answer, BrokenError, clear, make_deep, run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_STATE, _PLAN = ".reconciler/state.json", "plan.json"
_TOLD, _METRICS = ".reconciler/notified.json", "m.prom"
_ENVIRONMENT = {
    "RECONCILER_DEBUG": "1",
    "RECONCILER_STATE": "",
    "ALERTSITE_USERNAME": "me@example.com",
    "ALERTSITE_PASSWORD": "pw",
    "POP3_PASSWORD": "a secret",
    "RECONCILER_SECRET_KEY": "0" * 64,
}
_MANIFESTS = {
    "monitors/_defaults.yaml": """\
apiVersion: reconciler/v1
kind: Defaults
appliesTo: [email-smtp]
spec: {interval: 5}
""",
    "monitors/relay.yaml": """\
# yaml-language-server: $schema=../schemas/email-smtp.schema.json
apiVersion: reconciler/v1
kind: email-smtp
metadata:
  name: relay
  id: 7
  labels: {team: mail}
lifecycle:
  ignore: [{field: note, reason: test, until: "2030-01-31"}]
spec:
  name: Relay  # reconciler: disable=silenced
  billing_plancode: UBM - A/A
  hostname: smtp.example.com
  port: 587
  note: &note "two\\nlines"
  enabled: true
  locations: [{id: 10}, {id: 20}]
  home_location: 10
---
apiVersion: reconciler/v1
kind: email-smtp
metadata: {name: spare, previously: [old]}
spec: {name: Spare, billing_plancode: UBM - A/A, hostname: spare.example.com}
""",
    "monitors/sub/mailbox.yml": """\
apiVersion: reconciler/v1
kind: email-pop
metadata: {name: mailbox, id: 8}
lifecycle: {protect: true, retire: disable}
spec:
  name: >-
    Mail
    box
  billing_plancode: UBM - A/A
  hostname: pop.example.com
  timeout: 30
extra:
  pop3_password: {secretRef: {env: POP3_PASSWORD}}
  tags: [a, b]
""",
}
_TOML = """\
state = "file:.reconciler/state.json"
lock_lease = "3m"
timeout = "2s"
[budget]
monitors = 100
percent = 100
"""
_ERROR = {"errors": [{"code": "invalid", "message": "not so", "fields": ["port"]}]}


class Case(NamedTuple):
    """One command line, and what of its world is odd."""

    number: int
    kind: str
    arguments: tuple[str, ...]
    payload: bytes


class Corpus:
    """The ordinary world that cases are made from: made once, by real runs."""

    def __init__(self, folder: Path, account: Account) -> None:
        self.folder, self.account = folder, account
        self.environment = {**_ENVIRONMENT, "ALERTSITE_URL": account.url}
        account.monitors = {
            7: _monitor(7, "email-smtp", port=25, locations=[{"id": 20, "name": "X"}]),
            8: _monitor(8, "email-pop", name="Mail box"),
            9: _monitor(9, "email-imap", name="Not ours"),
        }
        self._write_manifests()
        self._ran("apply", "--auto-approve")
        account.monitors[7]["port"] = "2525"
        self._ran("plan", "--out", _PLAN)
        self.state = (folder / _STATE).read_bytes()
        self.plan = (folder / _PLAN).read_bytes()
        self.live = json.loads(json.dumps(list(account.monitors.values())))

    def begin(self) -> None:
        """The ordinary world again."""
        clear(self.folder)
        self._write_manifests()
        (self.folder / ".reconciler").mkdir()
        (self.folder / _STATE).write_bytes(self.state)
        (self.folder / _PLAN).write_bytes(self.plan)
        self.account.odd, self.account.strikes = {}, 0
        live = json.loads(json.dumps(self.live))
        self.account.monitors = {item["id"]: item for item in live}

    def _write_manifests(self) -> None:
        for name, text in {**_MANIFESTS, "reconciler.toml": _TOML}.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def _ran(self, *arguments: str) -> None:
        ran = run(self.folder, arguments, self.environment)
        if ran.code:
            raise BrokenError(f"the ordinary {arguments} ends with {ran.code}: {ran.out}{ran.err}")

    # What a case makes odd: each takes chance, and gives the odd bytes.

    def manifest(self, random: Random) -> bytes:
        name = random.choice([*_MANIFESTS])
        payload = odd_bytes(random, _MANIFESTS[name].encode())
        (self.folder / name).write_bytes(payload)
        return payload

    def manifest_value(self, random: Random) -> bytes:
        value = {
            "apiVersion": "reconciler/v1",
            "kind": "email-smtp",
            "metadata": {"name": "relay", "id": 7, "labels": {"a": "b"}, "previously": ["x"]},
            "lifecycle": {"ignore": [{"field": "port", "reason": "r", "until": "2030-01-01"}]},
            "spec": {
                "name": "Relay",
                "billing_plancode": "UBM - A/A",
                "hostname": "smtp.example.com",
                "port": 587,
                "locations": [{"id": 10}, {"id": 20}],
                "home_location": 10,
                "custom_properties": [{"id": 1, "value": "x"}],
                "timeout": 30,
                "interval": 5,
                "note": "text",
            },
            "extra": {"a": 1, "b": {"c": [1, 2]}},
        }
        payload = as_json(random, odd_value(random, value))
        (self.folder / "monitors/relay.yaml").write_bytes(payload)
        return payload

    def defaults(self, random: Random) -> bytes:
        value = {"apiVersion": "reconciler/v1", "kind": "Defaults", "appliesTo": ["email-pop"]}
        value |= {"spec": {"interval": 5, "port": 25, "locations": [{"id": 10}], "note": "n"}}
        payload = as_json(random, odd_value(random, value))
        (self.folder / "monitors/_defaults.yaml").write_bytes(payload)
        return payload

    def settings(self, random: Random) -> bytes:
        payload = odd_bytes(random, _TOML.encode())
        (self.folder / "reconciler.toml").write_bytes(payload)
        return payload

    def monitors(self, random: Random) -> bytes:
        """A list with odd monitors."""
        payload = as_json(random, {"results": odd_value(random, self.live)})
        self.account.odd = {"GET /monitors": Answer(payload)}
        return payload

    def envelope(self, random: Random) -> bytes:
        """A list whose envelope, count or paging is odd."""
        value = {"metadata": {"resultset": {"count": 3, "limit": 3, "offset": 0}}}
        payload = as_json(random, odd_value(random, {**value, "results": self.live[:3]}))
        self.account.odd = {"GET /monitors": Answer(payload)}
        return payload

    def answer(self, random: Random) -> bytes:
        """Any answer, as bytes, status and headers."""
        request = random.choice(
            ("GET /monitors", "POST /access-tokens", "POST /monitors", "PATCH /monitors")
        )
        if request == "POST /monitors":  # then there is one to be made
            (self.folder / _STATE).unlink()
            del self.account.monitors[max(self.account.monitors)]
        values = ({"results": self.live}, {"access_token": "token", "expires_in": 60}, _ERROR)
        body = as_json(random, odd_value(random, random.choice((*values, {"id": "101"}))))
        if random.randrange(2):
            body = odd_bytes(random, body)
        status = random.choice((200, 200, 200, 201, 204, 301, 400, 401, 403, 404, 409, 418, 429))
        status = random.choice((status, status, 500, 503, 599, 999))
        text = random.choice(TEXTS).encode().decode("latin-1").translate({10: "", 13: "", 0: ""})
        name = random.choice(("Content-Type", "Retry-After", "Location", "Date", "X-Odd"))
        self.account.odd = {
            request: Answer(body if status != 204 else b"", status, ((name, text),))
        }
        return f"{request} {status} {name}: {text!r} ".encode() + body

    def one(self, random: Random) -> bytes:
        """A monitor that is read by its id, since the list leaves it out."""
        body = as_json(random, odd_value(random, {"results": [self.live[0]]}))
        self.account.odd = {"GET /monitors/7": Answer(body)}
        rest = json.dumps({"results": self.live[1:]}).encode()
        self.account.odd = {**self.account.odd, "GET /monitors": Answer(rest)}
        return body

    def state_value(self, random: Random) -> bytes:
        payload = as_json(random, odd_value(random, json.loads(self.state)))
        (self.folder / _STATE).write_bytes(payload)
        return payload

    def state_bytes(self, random: Random) -> bytes:
        payload = odd_bytes(random, self.state)
        (self.folder / _STATE).write_bytes(payload)
        return payload

    def old_state(self, random: Random) -> bytes:
        """A state of the format 1.0."""
        value = json.loads(self.state)
        value |= {"format_version": "1.0", "account": self.account.url, "creating": {"a/b": "N"}}
        for name in ("pending_creates", "ids_before", "applied_plans"):
            del value[name]
        payload = as_json(random, odd_value(random, value))
        (self.folder / _STATE).write_bytes(payload)
        return payload

    def journal(self, random: Random) -> bytes:
        state = json.loads(self.state)
        record = state["records"]["email-smtp/relay"]
        body = {"name": "Spare"}
        lines: list[Any] = [
            {
                "journal": "2.0",
                "run": "r1",
                "lineage": state["lineage"],
                "account": state["account"],
            },
            {"ids_before": [7, 8]},
            {
                "intent": "email-smtp/spare",
                "creates": {"run": "r1", "at": "2026-03-01T00:00:00Z", "body": body},
                "replaces": None,
            },
            {"outcome": "email-smtp/relay", "record": record, "replaces": record["run"]},
        ]
        odd = random.randrange(len(lines))
        lines[odd] = odd_value(random, lines[odd])
        payload = b"".join(as_json(random, line) + b"\n" for line in lines)
        if random.randrange(2):
            payload = odd_bytes(random, payload)
        (self.folder / ".reconciler/state.json.r1.journal").write_bytes(payload)
        return payload

    def lock(self, random: Random) -> bytes:
        lease = {"id": "r0", "holder": "me", "host": "here", "operation": "apply", "process": ""}
        lease |= {"acquired_at": "2026-03-01T00:00:00Z", "length": 180.0, "renewals": 1}
        payload = as_json(random, odd_value(random, lease))
        if random.randrange(2):
            payload = odd_bytes(random, payload)
        (self.folder / f"{_STATE}.lock").write_bytes(payload)
        return payload

    def baseline(self, random: Random) -> bytes:
        entry = {"address": "email-smtp/relay", "code": "smtp-only", "field": "spec.hostname"}
        value = odd_value(random, {"format_version": "1.0", "findings": [entry, entry]})
        payload = as_json(random, value)
        if random.randrange(2):
            payload = odd_bytes(random, payload)
        (self.folder / "lint-baseline.json").write_bytes(payload)
        return payload

    def plan_value(self, random: Random) -> bytes:
        payload = as_json(random, odd_value(random, json.loads(self.plan)))
        (self.folder / _PLAN).write_bytes(payload)
        return payload

    def plan_bytes(self, random: Random) -> bytes:
        payload = odd_bytes(random, self.plan)
        (self.folder / _PLAN).write_bytes(payload)
        return payload

    def tree(self, random: Random) -> bytes:
        """A folder that holds what is no manifest, or has an odd name."""
        monitors = os.fsencode(self.folder / "monitors")
        odd = random.choice(TEXTS).encode().replace(b"\x00", b"").replace(b"/", b"_")[:200]
        odd = random.choice((odd, odd + random.choice(PIECES[4:]).replace(b"/", b"")[:40], b"\xff"))
        path = os.path.join(monitors, odd + b".yaml")  # noqa: PTH118 - bytes
        match random.randrange(7):
            case 0:
                os.mkfifo(path)
            case 1:
                os.symlink(path, path)  # noqa: PTH211 - bytes
            case 2:
                os.mkdir(path)  # noqa: PTH102 - bytes
            case 3:
                target = random.choice((b"/dev/null", b"/dev/zero", b"nowhere", b"..", monitors))
                os.symlink(target, path)  # noqa: PTH211 - bytes
            case 4:
                shutil.copy(self.folder / "monitors/relay.yaml", path)
            case 5:
                for name in ("reconciler.toml", _STATE, _PLAN):
                    (self.folder / name).unlink()
                    os.mkfifo(self.folder / name)
            case _:
                make_deep(monitors, random.choice((30, 300, 1500)))
        return path

    def told(self, random: Random) -> bytes:
        """What is left of the runs before: of whom was told what, and of the metrics."""
        told = {"default": {"0a1b-1": {"email-smtp/relay": "sha256:0"}}}
        data = odd_bytes(random, json.dumps(told).encode())
        if random.randrange(2):
            data = as_json(random, odd_value(random, told))
        (self.folder / _TOLD).write_bytes(data)
        name = b'reconciler_last_success_timestamp_seconds{account="default",operation="drift"} '
        (self.folder / _METRICS).write_bytes(odd_bytes(random, name + b"1.5\n"))
        return data

    def arguments(self, _: Random) -> bytes:
        """Nothing: `make` makes the command line odd."""
        return b""


_WRITING = (
    ("apply", "--auto-approve"),
    ("apply", "--auto-approve", "--json"),
    ("apply", "--auto-approve", "--prune", "--write-ids"),
    ("apply", "--auto-approve", "--adopt", "--write-secrets"),
)
_FILES = (
    ("validate",),
    ("validate", "--lint", "--strict"),
    ("validate", "--lint", "--format", "json"),
    ("validate", "--lint", "--format", "github"),
    ("validate", "--lint", "--format", "markdown"),
    ("validate", "--lint", "--format", "gitlab-codequality"),
    ("validate", "--lint", "--format", "junit"),
    ("validate", "--lint", "--format", "sarif"),
    ("validate", "--update-baseline"),
    ("fmt", "--diff", "--check"),
    ("fmt",),
    ("plan", "--offline"),
    ("why", "email-smtp/relay"),
    ("why", "email-smtp/relay.port", "--offline"),
)
_ANSWERS = (
    ("plan",),
    ("plan", "--json"),
    ("plan", "--show-requests", "--prune"),
    ("plan", "--format", "markdown", "--format", "junit=plan.xml"),
    ("plan", "--format", "github", "--format", "gitlab-terraform=plan.terraform.json"),
    ("plan", "--out", "other.json"),
    ("plan", "--detail", "summary"),
    ("plan", "--detail", "grouped"),
    ("drift",),
    ("drift", "--json"),
    ("drift", "--format", "markdown", "--format", "junit=drift.xml"),
    ("pull", "--auto-approve"),
    ("pull", "--all", "--auto-approve"),
    ("import", "--into", "new"),
    ("import", "--merge"),
    ("probe",),
    ("probe", "--json"),
    ("doctor",),
    ("why", "email-smtp/relay"),
    ("why", "email-smtp/relay", "--json"),
    *_WRITING,
)
_KEPT = (
    ("state", "list"),
    ("state", "show", "email-smtp/relay"),
    ("state", "pull"),
    ("state", "push", _STATE, "--state", "file:other.json"),
    ("state", "rm", "email-smtp/relay"),
    ("state", "unlock"),
    ("plan", "--offline", "--json"),
    ("doctor", "--json"),
    ("drift",),
    ("plan", "--prune"),
    *_WRITING,
)
_PLANS = (
    ("show", _PLAN),
    ("show", _PLAN, "--json"),
    ("show", _PLAN, "--detail", "grouped", "--show-requests"),
    ("apply", _PLAN),
    ("apply", _PLAN, "--all-or-nothing", "--json"),
    ("show", _PLAN, "--format", "github", "--format", "junit=plan.xml"),
    ("show", _PLAN, "--format", "markdown"),
)
_TELLING = (
    ("drift", "--notify", "json://127.0.0.1:9/"),
    ("drift", "--metrics", _METRICS, "--events", _METRICS),
    ("drift", "--metrics", _METRICS, "--target", "nothing"),
    ("apply", "--auto-approve", "--metrics", _METRICS, "--notify", "json://127.0.0.1:9/"),
)
_EVERY = (*_FILES, *_ANSWERS, *_KEPT, *_PLANS, *_TELLING)
KINDS: Mapping[str, tuple[Callable[[Corpus, Random], bytes], tuple[tuple[str, ...], ...]]] = {
    "manifest, bytes": (Corpus.manifest, (*_FILES, *_ANSWERS)),
    "manifest, value": (Corpus.manifest_value, (*_FILES, *_ANSWERS)),
    "defaults": (Corpus.defaults, (*_FILES, *_ANSWERS)),
    "reconciler.toml": (Corpus.settings, _EVERY),
    "baseline": (Corpus.baseline, (*_FILES, ("import", "--merge"))),
    "list, monitors": (Corpus.monitors, _ANSWERS),
    "list, envelope": (Corpus.envelope, _ANSWERS),
    "monitor by id": (Corpus.one, _ANSWERS),
    "answer": (Corpus.answer, _ANSWERS),
    "state, value": (Corpus.state_value, _KEPT),
    "state, bytes": (Corpus.state_bytes, _KEPT),
    "state, old": (Corpus.old_state, _KEPT),
    "journal": (Corpus.journal, _KEPT),
    "lock": (Corpus.lock, _KEPT),
    "plan, value": (Corpus.plan_value, _PLANS),
    "plan, bytes": (Corpus.plan_bytes, _PLANS),
    "files": (Corpus.tree, _EVERY),
    "arguments": (Corpus.arguments, _EVERY),
    "what was told": (Corpus.told, _TELLING),
}
"""What is made odd, and the command lines that meet it."""


def make(corpus: Corpus, seed: int, number: int) -> Case:
    """Prepares the world of one case."""
    random = Random(f"{seed}/{number}")
    kind = [*KINDS][number % len(KINDS)]
    spoil, commands = KINDS[kind]
    corpus.begin()
    payload = spoil(corpus, random)
    arguments = list(random.choice(commands))
    if kind == "arguments":
        odd = random.choice(VALUES)
        text = (odd if isinstance(odd, str) else repr(odd)[:4000]).replace("\x00", "\udcff")
        place = random.randrange(len(arguments) + 1)
        arguments[place : place + random.randrange(2)] = [text]
        if random.randrange(2):
            arguments.insert(1, random.choice(("--target", "--state", "--manifests", "--layout")))
    return Case(number, kind, tuple(arguments), payload)


def _monitor(number: int, kind: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": number,
        "type": kind,
        "name": "Relay",
        "billing_plancode": "UBM - A/A",
        "hostname": "smtp.example.com",
        "port": "587",
        "interval": 5,
        "timeout": 30,
        "enabled": "y",
        "note": "",
        "alert_note": None,
        "locations": [{"id": 10, "name": "Here", "region": "EU"}],
        "custom_properties": [{"id": 1, "value": "x"}],
        "blackout_ids": [],
        **fields,
    }
