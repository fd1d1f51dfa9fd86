import pytest

from reconciler.core.diff import Cause, FieldChange, Leaf, Stranded, explain, patch, stranded

from build import desired, live


def test_only_the_fields_that_differ_are_in_the_patch() -> None:
    manifest = desired({"ipv4": "203.0.113.5", "port": 587, "interval": 5})
    monitor = live({"ipv4": "203.0.113.4", "port": 25, "interval": 5, "timeout": 30})
    assert patch(manifest, monitor) == {"ipv4": "203.0.113.5", "port": 587}


def test_nothing_differs() -> None:
    assert patch(desired({"port": 587}), live({"port": "587", "name": "x"})) == {}


def test_a_field_that_is_unset_in_live_differs() -> None:
    assert patch(desired({"note": "hello"}), live({"note": ""})) == {"note": "hello"}


def test_an_empty_text_clears_a_field() -> None:
    assert patch(desired({"note": ""}), live({"note": "hello"})) == {"note": ""}


def test_values_are_sent_as_the_manifest_writes_them() -> None:
    locations = [{"id": 20}, {"id": 10}]
    body = patch(desired({"locations": locations}), live({"locations": [{"id": 30}]}))
    assert body == {"locations": locations}


def test_what_was_sent_otherwise_and_not_seen_since_is_sent_again() -> None:
    """AlertSite shows what the manifest wants, and may come to show what was sent last."""
    manifest, monitor = desired({"port": 25, "interval": 5}), live({"port": 25, "interval": 5})
    for unseen in ({"port": "25"}, {"note": "not named"}):
        assert patch(manifest, monitor, unseen=unseen) == {}
    sent = {"port": 587, "interval": 5}
    body = patch(manifest, monitor, unseen=sent)
    assert body == {"port": 25}
    (change,) = explain(manifest, monitor, body, {"port": 25}, sent)
    assert change == FieldChange("port", 25, 25, cause=Cause.UNSETTLED, applied=587)


class TestCompanions:
    def test_home_location_accompanies_changed_locations(self) -> None:
        manifest = desired({"locations": [{"id": 10}], "home_location": 10})
        monitor = live({"locations": [{"id": 20}], "home_location": 10})
        body = patch(manifest, monitor)
        assert body == {"home_location": 10, "locations": [{"id": 10}]}
        companion, change = explain(manifest, monitor, body)
        assert companion == FieldChange("home_location", 10, 10, sent_with="locations")
        assert change.sent_with is None

    def test_locations_do_not_accompany_home_location(self) -> None:
        manifest = desired({"locations": [{"id": 10}, {"id": 20}], "home_location": 20})
        monitor = live({"locations": [{"id": 10}, {"id": 20}], "home_location": 10})
        assert patch(manifest, monitor) == {"home_location": 20}

    @pytest.mark.parametrize("home", [10, "10", 10.0])
    def test_an_undeclared_companion_is_sent_as_live_has_it(self, home: object) -> None:
        monitor = live({"locations": [{"id": 10}], "home_location": home})
        manifest = desired({"locations": [{"id": 10}, {"id": 20}]})
        body = patch(manifest, monitor)
        assert body == {"home_location": 10, "locations": [{"id": 10}, {"id": 20}]}
        assert stranded(manifest, monitor, body) is None
        companion, _ = explain(manifest, monitor, body)
        assert companion == FieldChange("home_location", 10, 10, sent_with="locations")

    @pytest.mark.parametrize("home", [None, ""])
    def test_what_is_unset_accompanies_nothing(self, home: object) -> None:
        monitor = live({"locations": [{"id": 20}], "home_location": home})
        manifest = desired({"locations": [{"id": 10}]})
        assert patch(manifest, monitor) == {"locations": [{"id": 10}]}
        assert stranded(manifest, monitor, patch(manifest, monitor)) is None

    def test_an_undeclared_companion_can_be_stranded(self) -> None:
        monitor = live({"locations": [{"id": 10}, {"id": 20}], "home_location": "10"})
        manifest = desired({"locations": [{"id": 20}, {"id": 30}]})
        body = patch(manifest, monitor)
        assert body == {"locations": [{"id": 20}, {"id": 30}]}
        assert stranded(manifest, monitor, body) == Stranded(
            "home_location", 10, "locations", (20, 30)
        )

    def test_a_home_is_not_stranded_by_other_fields(self) -> None:
        monitor = live({"locations": [{"id": 20}], "home_location": 10, "port": 25})
        manifest = desired({"locations": [{"id": 20}], "port": 587})
        body = patch(manifest, monitor)
        assert body == {"port": 587}
        assert stranded(manifest, monitor, body) is None

    def test_a_home_that_the_manifest_names_is_its_own_affair(self) -> None:
        monitor = live({"locations": [{"id": 10}], "home_location": 10})
        manifest = desired({"locations": [{"id": 20}], "home_location": 30})
        assert stranded(manifest, monitor, patch(manifest, monitor)) is None

    def test_true_is_not_the_location_one(self) -> None:
        monitor = live({"locations": [{"id": 2}], "home_location": True})
        manifest = desired({"locations": [{"id": 1}]})
        assert stranded(manifest, monitor, patch(manifest, monitor)) is not None


def test_a_scalar_has_no_leaves() -> None:
    manifest, monitor = desired({"port": 587}), live({"port": "25"})
    assert explain(manifest, monitor, {"port": 587}) == (FieldChange("port", 25, 587),)


LEAVES = {
    "a set is named by key": (
        "locations",
        [{"id": 20, "name": "Atlanta"}, {"id": 10}],
        [{"id": 10}, {"id": 30}],
        (
            Leaf("locations[20]", {"id": 20}, None),
            Leaf("locations[30]", None, {"id": 30}),
        ),
    ),
    "inside an element": (
        "custom_properties",
        [{"id": 228, "value_id": 549}],
        [{"id": 228, "value_id": 550}],
        (Leaf("custom_properties[228].value_id", 549, 550),),
    ),
    "true against one": (
        "new_field",
        {"a": {"b": 1}},
        {"a": {"b": True}},
        (Leaf("new_field.a.b", 1, True),),
    ),
    "a key that looks private": (
        "new_field",
        {"__x": 1},
        {"__x": 2},
        (Leaf("new_field.__x", 1, 2),),
    ),
    "very different mappings": (
        "new_field",
        {"a": 1, "b": 2, "c": 3},
        {"d": 4},
        (
            Leaf("new_field.a", 1, None),
            Leaf("new_field.b", 2, None),
            Leaf("new_field.c", 3, None),
            Leaf("new_field.d", None, 4),
        ),
    ),
    "a list by place": (
        "new_field",
        ["a", "b"],
        ["a", "c"],
        (Leaf("new_field[1]", "b", "c"),),
    ),
    "a set without keys": (
        "locations",
        [10],
        [{"id": 10}],
        (Leaf("locations[0]", 10, {"id": 10}),),
    ),
}


@pytest.mark.parametrize(("name", "before", "after", "leaves"), LEAVES.values(), ids=LEAVES)
def test_leaves_say_what_differs_inside(
    name: str, before: object, after: object, leaves: tuple[Leaf, ...]
) -> None:
    manifest, monitor = desired({name: after}), live({name: before})
    (change,) = explain(manifest, monitor, patch(manifest, monitor), {name: before})
    assert change.leaves == leaves
