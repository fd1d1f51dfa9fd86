"""What lint says of valid manifests, as tables of data."""

from collections.abc import Sequence
from typing import Any

import pytest

from reconciler.core.lint.alone import of_one
from reconciler.core.lint.codes import CODES
from reconciler.core.lint.together import of_all
from reconciler.core.model import Desired
from reconciler.errors import Problem, Severity

from build import desired

IMAP, POP, SMTP, TRIP = "email-imap", "email-pop", "email-smtp", "email-round-trip"


def lint(fleet: Sequence[Desired]) -> list[Problem]:
    return [*(finding for item in fleet for finding in of_one(item)), *of_all(fleet)]


def told(*fleet: Desired) -> set[tuple[str, str, str]]:
    """Address, field and code of every finding but the one that nearly every SMTP monitor has."""
    return {
        (item.address, item.pointer[-1], item.code)
        for item in lint(fleet)
        if item.code != "smtp-only"
    }


def alone(kind: str, **fields: Any) -> set[tuple[str, str]]:
    return {(field, code) for _, field, code in told(desired(fields, kind=kind))}


class TestPorts:
    @pytest.mark.parametrize(
        ("kind", "port"),
        [
            *((IMAP, 995), (IMAP, 110), (IMAP, 587), (POP, 993), (POP, 143), (POP, 25)),
            *((SMTP, 143), (SMTP, 110), (SMTP, 993), (SMTP, 995)),
        ],
    )
    def test_a_port_of_another_protocol_is_an_error(self, kind: str, port: int) -> None:
        assert alone(kind, hostname="mail.example.com", port=port) == {("port", "wrong-port")}

    @pytest.mark.parametrize(
        ("kind", "port"),
        [
            *((IMAP, 993), (IMAP, 143), (POP, 995), (POP, 110), (SMTP, 25), (SMTP, 465)),
            *((SMTP, 587), (SMTP, 2525), (IMAP, 10993), (POP, None)),
        ],
    )
    def test_its_own_ports_and_unknown_ones_are_fine(self, kind: str, port: int | None) -> None:
        assert alone(kind, hostname="mail.example.com", port=port) == set()

    @pytest.mark.parametrize("port", ["995", 995.0])
    def test_the_spelling_of_a_number_does_not_matter(self, port: Any) -> None:
        assert alone(IMAP, hostname="mail.example.com", port=port) == {("port", "wrong-port")}

    @pytest.mark.parametrize(
        ("kind", "host", "port"),
        [
            (SMTP, "smtps://mail.example.com", 25),
            (SMTP, "SMTPS://mail.example.com", 587),
            (SMTP, "smtp://mail.example.com", 465),
            (IMAP, "imaps://mail.example.com", 143),
            (IMAP, "imap://mail.example.com", 993),
            (POP, "pop3s://mail.example.com", 110),
            (POP, "pop3://mail.example.com", 995),
        ],
    )
    def test_a_scheme_and_a_port_agree_on_tls(self, kind: str, host: str, port: int) -> None:
        assert alone(kind, hostname=host, port=port) == {("port", "tls-port")}

    @pytest.mark.parametrize(
        ("kind", "host"),
        [
            (SMTP, "smtps://mail.example.com"),
            (SMTP, "smtps://mail.example.com:465"),
            (IMAP, "imaps://mail.example.com:993/"),
            (POP, "pops://[2001:db8::1]:995"),
            (SMTP, "tls://mail.example.com:993x"),  # nothing is known of either
        ],
    )
    def test_what_agrees_is_fine(self, kind: str, host: str) -> None:
        assert alone(kind, hostname=host) == set()

    @pytest.mark.parametrize(
        ("kind", "host"),
        [
            (IMAP, "pop3s://a.example.com"),
            (POP, "imap://a.example.com"),
            (SMTP, "https://a.example.com"),
            (SMTP, "imaps://a.example.com"),
        ],
    )
    def test_a_scheme_of_another_protocol_is_an_error(self, kind: str, host: str) -> None:
        assert alone(kind, hostname=host) == {("hostname", "wrong-scheme")}

    def test_hosts_of_a_round_trip_are_looked_at_one_by_one(self) -> None:
        fields = {
            "smtp_hostname": "smtps://smtp.example.com:25",
            "pop3_hostname": "pop.example.com:993",
            "email": "probe@example.com",
        }
        assert alone(TRIP, **fields) == {
            ("smtp_hostname", "tls-port"),
            ("pop3_hostname", "wrong-port"),
        }

    def test_a_port_beside_a_port_in_the_host_name(self) -> None:
        assert alone(SMTP, hostname="a.example.com:587", port=25) == {("port", "two-ports")}
        assert alone(SMTP, hostname="a.example.com:587", port=587) == set()

    def test_the_message_says_what_to_do(self) -> None:
        (found,) = lint([desired({"hostname": "a.example.com", "port": 995}, kind=IMAP)])
        assert found.message == (
            "port 995 is for POP, but email-imap uses IMAP with this host; use 143, or 993 with TLS"
        )

    def test_a_field_from_extra_is_not_one_of_the_schema(self) -> None:
        assert alone(TRIP, port=993, hostname="a.example.com") == set()

    def test_a_host_in_a_secret_is_not_known(self) -> None:
        item = desired({"port": 995}, secrets={"hostname": {"secretRef": {"env": "HOST"}}})
        assert told(item) == set()


class TestAddresses:
    def test_an_address_as_host_name_is_that_of_ipv4(self) -> None:
        fields = {"hostname": "192.0.2.1", "resolve_dns": False}
        assert alone(SMTP, **fields, ipv4="192.0.2.2") == {("ipv4", "other-address")}
        assert alone(SMTP, **fields, ipv4="192.0.2.1") == set()
        assert alone(SMTP, hostname="192.0.2.1") == set()

    @pytest.mark.parametrize("ipv4", [{}, {"ipv4": ""}])
    def test_without_dns_there_is_an_address(self, ipv4: dict[str, str]) -> None:
        found = alone(SMTP, hostname="a.example.com", resolve_dns=False, **ipv4)
        assert found == {("resolve_dns", "no-address")}

    def test_an_address_in_a_secret_is_one(self) -> None:
        secret = {"ipv4": {"secretRef": {"env": "ADDRESS"}}}
        assert told(desired({"resolve_dns": False}, secrets=secret)) == set()


class TestLocations:
    LOCATIONS = ({"id": 10}, {"id": 20})

    def test_the_home_location_is_one_of_them(self) -> None:
        locations = list(self.LOCATIONS)
        assert alone(POP, locations=locations, home_location=30) == {
            ("home_location", "home-location")
        }
        assert alone(POP, locations=locations, home_location=20) == set()
        assert alone(POP, home_location=30) == set()

    def test_no_more_of_them_are_used_than_there_are(self) -> None:
        locations = list(self.LOCATIONS)
        assert alone(POP, locations=locations, monitor_location_count=3) == {
            ("monitor_location_count", "location-count")
        }
        assert alone(POP, locations=locations, monitor_location_count=2) == set()
        assert alone(POP, monitor_location_count=3) == set()

    @pytest.mark.parametrize(
        ("mode", "is_told"), [("Primary", True), (" primary", True), ("Round Robin", False)]
    )
    def test_primary_mode_does_not_rotate(self, mode: str, *, is_told: bool) -> None:
        found = alone(POP, mode=mode, rotate_locations=True)
        assert found == ({("rotate_locations", "rotation-mode")} if is_told else set())
        assert alone(POP, mode=mode, rotate_locations=False) == set()


@pytest.mark.parametrize(
    ("interval", "timeout", "is_told"), [(1, 61, True), (1, 60, False), (5, None, False)]
)
def test_an_interval_is_not_shorter_than_the_timeout(
    interval: int, timeout: int | None, *, is_told: bool
) -> None:
    found = alone(IMAP, interval=interval, timeout=timeout)
    assert found == ({("interval", "short-interval")} if is_told else set())


def test_what_is_switched_off_is_said() -> None:
    found = alone(IMAP, enabled=False, notify_on_error=False)
    assert found == {("enabled", "disabled"), ("notify_on_error", "silenced")}
    assert alone(IMAP, enabled=True, notify_on_error=True) == set()


class TestTogether:
    @staticmethod
    def check(name: str, kind: str = IMAP, **fields: Any) -> Desired:
        return desired({"hostname": "mail.example.com", **fields}, kind=kind, name=name)

    def test_the_same_check_names_the_others(self) -> None:
        fleet = [self.check("a"), self.check("b", hostname="MAIL.example.com.", port=143)]
        found = {item.address: item.message for item in lint(fleet)}
        assert set(found) == {"email-imap/a", "email-imap/b"}
        assert "as email-imap/b;" in found["email-imap/a"]
        assert "as email-imap/a;" in found["email-imap/b"]

    def test_many_others_are_counted(self) -> None:
        first, *_ = lint([self.check(f"m{number}") for number in range(9)])
        assert "as email-imap/m1, email-imap/m2, email-imap/m3, 5 more;" in first.message

    @pytest.mark.parametrize(
        "other",
        [
            {"port": 993},
            {"hostname": "imaps://mail.example.com"},
            {"kind": POP},
            {"hostname": "mail2.example.com"},
            {"resolve_dns": False, "ipv4": "192.0.2.7"},
        ],
    )
    def test_other_checks_are_not_the_same(self, other: dict[str, Any]) -> None:
        assert told(self.check("a"), self.check("b", **other)) == set()

    def test_a_mailbox_is_for_one_round_trip(self) -> None:
        trips = [
            desired({"email": email}, kind=TRIP, name=name)
            for name, email in [
                ("a", "Probe@Example.com"),
                ("b", "probe@example.com"),
                ("c", "c@d"),
            ]
        ]
        assert told(*trips) == {
            ("email-round-trip/a", "email", "shared-mailbox"),
            ("email-round-trip/b", "email", "shared-mailbox"),
        }

    @pytest.mark.parametrize(
        ("host", "name"),
        [
            ("relay.mail.example.com", "example.com"),
            ("relay.example.co.uk", "example.co.uk"),
            ("relay.example.de", "example.de"),
        ],
    )
    def test_a_domain_that_only_sends_is_told_once(self, host: str, name: str) -> None:
        fleet = [self.check("b", SMTP, hostname=host), self.check("a", SMTP, hostname=f"a.{host}")]
        (found,) = lint(fleet)
        assert (found.address, found.code) == ("email-smtp/a", "smtp-only")
        assert found.message.startswith(f"{name} is checked by SMTP only")

    @pytest.mark.parametrize(
        "other",
        [
            desired({"hostname": "imap.example.com"}, kind=IMAP),
            desired({"hostname": "pop3s://pop.example.com"}, kind=POP),
            desired({"email": "probe@example.com"}, kind=TRIP),
            desired({"pop3_hostname": "pop.example.com:995"}, kind=TRIP),
        ],
        ids=lambda item: next(iter(item.fields)),
    )
    def test_whatever_fetches_mail_there_is_enough(self, other: Desired) -> None:
        assert list(lint([self.check("a", SMTP), other])) == []

    @pytest.mark.parametrize("host", ["192.0.2.1", "[2001:db8::1]", "localhost"])
    def test_a_host_without_a_domain_is_not_told(self, host: str) -> None:
        assert list(lint([self.check("a", SMTP, hostname=host)])) == []


class TestCodes:
    def test_each_has_a_severity_and_a_meaning(self) -> None:
        assert {code.severity for code in CODES.values()} == set(Severity)
        assert all(code.meaning.endswith(".") for code in CODES.values())
