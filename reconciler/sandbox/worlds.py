"""What AlertSite's documentation leaves open, as choices. Rule: pure values and functions, no I/O.

None of these behaviours is known to be AlertSite's: the documentation does not rule them out, and a
careful client must survive each. All are off in `PLAIN`; they combine freely.
"""

import difflib
import html
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

_EXTRA_IN_LOCATION: Final = {  # keys of the older API's locations
    "backbone": "",
    "city": "Springfield",
    "continent": "NA",
    "country": "US",
    "has_chrome": 1,
}
_EXTRA_IN_PROPERTY: Final = {"description": "", "is_default": False}
_EXTRA: Final = {"locations": _EXTRA_IN_LOCATION, "custom_properties": _EXTRA_IN_PROPERTY}
_BOOLEANS: Final[Mapping[str, tuple[object, object]]] = {  # for false and for true
    "yn": ("n", "y"),
    "01": (0, 1),
    "text": ("false", "true"),
}
_NAMES: Final[Mapping[str, Callable[[str], str]]] = {
    "trim": str.strip,
    "blanks": lambda name: re.sub(r"(?<=\S)\s+(?=\S)", " ", name),
    "nfc": lambda name: unicodedata.normalize("NFC", name),
    "html": html.escape,
}
_CUT: Final = "cut:"


@dataclass(frozen=True, slots=True)
class World:
    """How an AlertSite that is documented as ours is might behave; the defaults are `PLAIN`.

    What a write does is decided by the world at that moment: a monitor that was created or edited
    with a `lag` or `late` stays hidden for that long even if the world is changed meanwhile. These
    delays are kept in memory, by the sandbox's clock, and end with the sandbox.

    Attributes:
        lag: seconds until a created monitor is in the list; by its id it can be read at once.
        late: seconds until GET, of the list and by id, shows what a PATCH changed.
        backend: seconds between the arrival of a create and its effect. The answer waits for the
            effect; neither a client that leaves nor a fault that answers earlier prevents it.
        offset: `ignored`: has no effect; `page`: counts pages, not monitors; `needs-limit`: has no
            effect without `limit`; None: counts monitors.
        count: what the list's count is: the `total` of all pages, the length of this `page`, or
            `none` (null).
        short: how many monitors, the last by id, every list leaves out, though it counts them.
        hide: how many further monitors every list leaves out without counting them.
        locations: what PATCH does with `locations` and `custom_properties`: `replace` or `merge`
            (entries that were not sent stay).
        extra_keys: GET shows further keys in the entries of `locations` and `custom_properties`.
        no_type: GET shows no `type`.
        no_filter: the list ignores the `type` that was asked for.
        trim: texts are stored without white space around them.
        crlf: texts are stored with CRLF for line breaks.
        lower_host: fields that end in `hostname` are stored in lower case.
        names: how names are stored, step by step: `trim`, `blanks` (runs of white space inside
            become one blank), `nfc` (Unicode's composed form), `html` (escaped), `cut:N`.
        drop: fields that POST and PATCH accept and do not keep.
        bools: how GET shows booleans, at any depth: `yn`, `01`, `text` ("true"); None: as booleans.
        expired: the status for a token that is not valid (any more): 401 or 400.
        lies: `create-id`: a create is answered with the id of another monitor, the one with the
            lowest id; `previous-id`: with that of the create before it, as if something on the way
            crossed their answers. Hostile: nobody does that on purpose.
        reuse_ids: ids are counted on from the highest one there is, so that of a monitor that was
            deleted may be given again.
        vanish: `first` or an id: once a page was served that leaves pages to come, this monitor is
            deleted; `first` is the first one on that page, and only one is ever deleted so.
    """

    lag: float = 0.0
    late: float = 0.0
    backend: float = 0.0
    offset: Literal["ignored", "page", "needs-limit"] | None = None
    count: Literal["total", "page", "none"] = "total"
    short: int = 0
    hide: int = 0
    locations: Literal["replace", "merge"] = "replace"
    extra_keys: bool = False
    no_type: bool = False
    no_filter: bool = False
    trim: bool = False
    crlf: bool = False
    lower_host: bool = False
    names: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    bools: Literal["yn", "01", "text"] | None = None
    expired: Literal[400, 401] = 401
    lies: Literal["create-id", "previous-id"] | None = None
    reuse_ids: bool = False
    vanish: int | Literal["first"] | None = None

    @property
    def shows_as_stored(self) -> bool:
        """Whether GET shows monitors without additions, omissions or translations."""
        return not (self.extra_keys or self.no_type or self.bools)

    def kept(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values of a request as they are stored."""
        kept = {name: it for name, it in values.items() if name not in self.drop}
        if self.trim or self.crlf:
            kept = _changed(kept, str, self._text)
        for field, value in kept.items():
            if self.lower_host and field.endswith("hostname") and isinstance(value, str):
                kept[field] = value.lower()
        name = kept.get("name")
        if isinstance(name, str):
            for step in self.names:
                is_cut = step.startswith(_CUT)
                name = name[: int(step.removeprefix(_CUT))] if is_cut else _NAMES[step](name)
            kept["name"] = name
        return kept

    def edited(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
        """What an edit makes of a monitor, given what replacing its values makes of it."""
        result = dict(after)
        if self.locations == "merge":
            for name in _EXTRA:
                entries = (*_entries(before.get(name)), *_entries(after.get(name)))
                if entries:
                    result[name] = list({entry.get("id"): entry for entry in entries}.values())
        return result

    def shown(self, monitor: Mapping[str, Any]) -> dict[str, Any]:
        """A stored monitor as GET shows it."""
        result = dict(monitor)
        if self.extra_keys:
            for name, extra in _EXTRA.items():
                if result.get(name):
                    result[name] = [{**extra, **entry} for entry in _entries(result[name])]
        if self.no_type:
            result.pop("type", None)
        if self.bools is not None:
            result = _changed(result, bool, _BOOLEANS[self.bools].__getitem__)
        return result

    def _text(self, text: str) -> str:
        trimmed = text.strip() if self.trim else text
        return re.sub(r"\r\n|\r|\n", "\r\n", trimmed) if self.crlf else trimmed


PLAIN: Final = World()


def _entries(value: object) -> list[dict[str, Any]]:
    return value if isinstance(value, list) else []


def _changed(value: Any, kind: type, change: Callable[[Any], object]) -> Any:  # noqa: ANN401 - JSON
    """The value with all that is of that kind changed, at any depth."""
    match value:
        case list():
            return [_changed(item, kind, change) for item in value]
        case dict():
            return {name: _changed(item, kind, change) for name, item in value.items()}
        case _:
            return change(value) if isinstance(value, kind) else value


class _Key(NamedTuple):
    """What may stand in a text for one attribute.

    Attributes:
        form: what its value is called; empty for a key that stands alone.
        read: returns the value that a text means; a ValueError means that it means none.
        is_repeatable: whether its values add up when it is given more than once.
    """

    form: str = ""
    read: Callable[[str], object] = bool
    is_repeatable: bool = False


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < math.inf:
        raise ValueError
    return seconds


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise ValueError
    return int(text)


def _name_step(text: str) -> str:
    if text.startswith(_CUT):
        _number(text.removeprefix(_CUT))
    elif text not in _NAMES:
        raise ValueError
    return text


def _field(text: str) -> str:
    if not text:
        raise ValueError
    return text


def _one_of(*words: str, read: Callable[[str], object] = str) -> _Key:
    def choice(text: str) -> object:
        if text not in words:
            raise ValueError
        return read(text)

    return _Key("|".join(words), choice)


KEYS: Final[Mapping[str, _Key]] = {
    "lag": _Key("SECONDS", _seconds),
    "late": _Key("SECONDS", _seconds),
    "backend": _Key("SECONDS", _seconds),
    "offset": _one_of("ignored", "page", "needs-limit"),
    "count": _one_of("total", "page", "none"),
    "short": _Key("N", _number),
    "hide": _Key("N", _number),
    "locations": _one_of("replace", "merge"),
    "extra-keys": _Key(),
    "no-type": _Key(),
    "no-filter": _Key(),
    "trim": _Key(),
    "crlf": _Key(),
    "lower-host": _Key(),
    "names": _Key("trim|blanks|nfc|html|cut:N", _name_step, is_repeatable=True),
    "drop": _Key("FIELD", _field, is_repeatable=True),
    "bools": _one_of(*_BOOLEANS),
    "expired": _one_of("400", "401", read=int),
    "lies": _one_of("create-id", "previous-id"),
    "reuse-ids": _Key(),
    "vanish": _Key("first|ID", lambda text: text if text == "first" else _number(text)),
}
"""The keys of `parse_world`, by their names in a text."""


def parse_world(text: str) -> World:
    """The world that a text such as `lag=10,offset=ignored,no-type` describes.

    Raises:
        ValueError: says what is wrong and what is allowed.
    """
    try:
        return World(**_attributes(text.split(",") if text.strip() else ()))
    except ValueError as error:
        raise ValueError(f"world {text!r}: {error}") from None


def _attributes(settings: Iterable[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for setting in settings:
        name, separator, word = setting.strip().partition("=")
        if name not in KEYS:
            forms = (f"{known}={it.form}" if it.form else known for known, it in KEYS.items())
            near = difflib.get_close_matches(name, KEYS, n=1)
            question = f"; did you mean {near[0]}?" if near else "."
            raise ValueError(
                f"{name!r} is not a key of a world{question} The keys are {', '.join(forms)}"
            )
        key = KEYS[name]
        if not key.form and separator:
            raise ValueError(f"{name} takes no value")
        try:
            value = key.read(word if key.form else "yes")
        except ValueError:
            raise ValueError(f"expected {name}={key.form}, not {setting.strip()!r}") from None
        attribute = name.replace("-", "_")
        if key.is_repeatable:
            value = (*values.get(attribute, ()), value)
        elif attribute in values:
            raise ValueError(f"{name} is given twice")
        values[attribute] = value
    return values
