"""The laws of the smallest patch, for all desired and live values of all kinds."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.diff import explain, patch, stranded
from reconciler.core.model import Desired, Live

from build import SCHEMAS, desired, live

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 70_000),
    st.integers(0, 70_000).map(str),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(
        ["", " ", "UBM - A/A", "UBM-A/A", "Primary", "mx.example.com", "y", "0", "a\r\n"]
    ),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["id", "name", "value_id", "__x"]), inner, max_size=3),
    ),
    max_leaves=6,
)
SETS = st.lists(
    st.fixed_dictionaries(
        {"id": st.integers(1, 5) | st.integers(1, 5).map(str)},
        optional={"name": st.sampled_from(["London", ""]), "region": st.integers(0, 2)},
    ),
    max_size=4,
)
NAMES = sorted(
    {
        name
        for kind in SCHEMAS.kinds
        for name, field in SCHEMAS.documents[kind]["properties"]["spec"]["properties"].items()
        if not field.get("readOnly")
    }
    | {"unknown_field"}
)
FIELDS = st.dictionaries(st.sampled_from(NAMES), VALUES | SETS, max_size=8)
KINDS = st.sampled_from(sorted(SCHEMAS.kinds))
MANIFESTS = st.builds(lambda fields, kind: desired(fields, kind=kind), FIELDS, KINDS)
MONITORS = st.builds(live, FIELDS)


def applied(monitor: Live, body: dict[str, Any]) -> Live:
    return live({**monitor.fields, **body})


@given(MANIFESTS, MONITORS)
def test_applying_the_patch_leaves_nothing_to_do(manifest: Desired, monitor: Live) -> None:
    assert patch(manifest, applied(monitor, patch(manifest, monitor))) == {}


@given(MANIFESTS, MONITORS)
def test_declared_fields_are_sent_as_they_are_written(manifest: Desired, monitor: Live) -> None:
    body = patch(manifest, monitor)
    for name in body.keys() & manifest.fields.keys():
        assert body[name] is manifest.fields[name]


@given(MANIFESTS, MONITORS)
def test_an_undeclared_field_is_only_sent_as_an_unchanged_companion(
    manifest: Desired, monitor: Live
) -> None:
    body = patch(manifest, monitor)
    for name in body.keys() - manifest.fields.keys():
        field = manifest.kind.field(name)
        assert not body.keys().isdisjoint(field.send_with)
        assert body[name] is not None
        assert body[name] == field.normalise(monitor.fields[name])


HOMES = st.integers(1, 5) | st.integers(1, 5).map(str) | st.sampled_from([None, ""])


@given(SETS.filter(bool), st.fixed_dictionaries({"locations": SETS, "home_location": HOMES}), KINDS)
def test_locations_never_go_out_without_a_home_that_is_one_of_them(
    locations: list[Any], fields: dict[str, Any], kind: str
) -> None:
    manifest, monitor = desired({"locations": locations}, kind=kind), live(fields)
    body = patch(manifest, monitor)
    lost = stranded(manifest, monitor, body)
    home = manifest.kind.field("home_location").normalise(fields["home_location"])
    ids = {int(item["id"]) for item in locations}
    if not body:
        assert lost is None
    elif home is None or home in ids:
        assert (lost, body.get("home_location")) == (None, home)
    else:
        assert lost is not None
        assert (lost.value, set(lost.keys)) == (home, ids)
        assert "home_location" not in body


@given(MANIFESTS, MONITORS)
def test_no_field_can_be_left_out_but_for_companions(manifest: Desired, monitor: Live) -> None:
    body = patch(manifest, monitor)
    companions = {
        change.field for change in explain(manifest, monitor, body) if change.sent_with is not None
    }
    for name in body.keys() - companions:
        rest = {key: value for key, value in body.items() if key != name}
        assert name in patch(manifest, applied(monitor, rest))


@given(MANIFESTS, MONITORS)
def test_every_companion_accompanies_a_field_that_is_sent(manifest: Desired, monitor: Live) -> None:
    body = patch(manifest, monitor)
    changes = explain(manifest, monitor, body)
    assert [change.field for change in changes] == list(body)
    for change in changes:
        assert change.sent_with is None or change.sent_with in body
        assert change.sent_with is None or change.sent_with != change.field


@given(MANIFESTS, MONITORS, st.randoms(use_true_random=False))
def test_the_order_of_fields_changes_nothing(manifest: Desired, monitor: Live, random: Any) -> None:
    def shuffled(fields: Any) -> dict[str, Any]:
        items = list(fields.items())
        random.shuffle(items)
        return dict(items)

    again = patch(
        manifest._replace(fields=shuffled(manifest.fields)), live(shuffled(monitor.fields))
    )
    assert list(again.items()) == list(patch(manifest, monitor).items())


@given(SETS, st.randoms(use_true_random=False))
def test_the_order_of_a_set_is_not_a_change(locations: list[Any], random: Any) -> None:
    other = list(locations)
    random.shuffle(other)
    manifest = desired({"locations": locations})
    assert patch(manifest, live({"locations": other})) == {}


@given(MANIFESTS)
def test_fields_that_the_manifest_does_not_name_are_never_touched(manifest: Desired) -> None:
    monitor = live({**manifest.fields, "undeclared": 1})
    assert patch(manifest, monitor) == {}
