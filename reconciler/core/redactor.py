"""Takes known secrets out of what leaves the process, in every spelling that others give them.

Rule: pure but for what it has been told. That a field holds a secret is known where the field is
(`mask`, `secrets`), and such a field is never shown; this is the second line, for what others say:
AlertSite, git, libraries, tracebacks. It stands at the boundary: the streams, the stores, journals.
What is sent to AlertSite does not pass it.

Spellings. A secret that is echoed is rarely spelt as it was: it is in JSON, in a URL, in HTML, in
the `repr` of some bytes, in hex, or somewhere inside base64. `_spellings` gives them all, so that
nothing has to be decoded. Inside base64 three bytes become four characters, so what a secret looks
like depends on where it begins, in three ways; only the characters that its neighbours have no part
in are looked for.

Search. There may be thousands of secrets and megabytes of text, so neither a loop over spellings
nor one large regular expression will do. Say that the shortest spelling has n characters, and a
gram has g. If a spelling stands in a text, then one of the text's grams at the places 0, s, 2s, …
with s at most n - g + 1 lies within it, and begins at one of its first s places. Those grams are
the keys of an index. So a text is looked at once, at every s-th place, however many secrets there
are.

Cuts. What is too long to be shown is cut, by us or by others, and the end of what is left may be
the beginning of a secret. So before a mark of a cut (`…`, `...`) a part of a spelling is enough.
That is for what is shown: a value that is kept, or compared, is whole, and such an end would be
chance.

A secret that is shorter than `_SHORTEST`, blanks not counted, is not looked for: it stands in
ordinary words, and taking it out of them would tell it.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from reconciler.core.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


_SHORTEST = 6
"""Characters that a secret must have to be looked for; one of its spellings too."""
_LINE = 8
"""Characters that a line of a longer secret, such as a private key, must have."""
_LONGEST_STEP = 6
"""More would save little time in a text, and cost memory for each spelling."""
PLACEHOLDER = "(secret)"
_CUT = re.compile(r"…|\\u2026|\.\.\.")
_FARTHEST = 1024
"""Characters before a cut in which a part of a secret is looked for to begin: longer than what is
shown of any text that is cut."""
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_UNICODE = re.compile(r"\\u[0-9a-f]{4}")
_PERCENT = re.compile("%[0-9A-F]{2}")
_SPECIAL = re.compile("[^0-9A-Za-z ]")
_SARIF = re.compile(r"[\\\[\]]")
_EQUALS, _PLUS, _TICK = ("=", r"\u003d"), ("+", r"\u002b"), ("`", r"\u0060")
_CODES_IN_JSON = (
    *((), (_EQUALS,), (_PLUS,), (_PLUS, _TICK), (_PLUS, _TICK, ('\\"', r"\u0022"))),
    *((('\\"', r"\u0022"),), (_EQUALS, _PLUS, _TICK, ('\\"', r"\u0022"))),
)
"""What libraries escape besides: Gson, Go, .NET, PHP."""
_CODES_IN_HTML = (
    *((), (("+", "&#43;"),), (("/", "&#x2F;"),), (("`", "&#x60;"),), (("`", "&#96;"),)),
    *((("=", "&#x3D;"), ("`", "&#x60;")), (("/", "&#x2F;"), ("=", "&#x3D;"), ("`", "&#x60;"))),
)
"""What libraries escape besides: Go, OWASP, lodash, Handlebars, Mustache."""


class _Index:
    """The spellings of secrets by their grams.

    Attributes:
        gram: how many characters one has.
        step: at how many places one of the grams of each is.
        found: by gram the spellings that it is in, and at which place.
        done: how many spellings are in it; there may be more, and one of them twice.
    """

    def __init__(self, shortest: int) -> None:
        """An index for spellings that have so many characters or more."""
        self.gram = 4 if shortest > _SHORTEST + 1 else 3
        self.step = min(shortest - self.gram + 1, _LONGEST_STEP)
        self.found: dict[str, list[tuple[str, int]]] = {}
        self.done = 0

    def fits(self, shortest: int) -> bool:
        """Whether it can hold a spelling of so many characters."""
        needed = _Index(shortest)
        return self.gram <= needed.gram and self.step <= needed.step

    def add(self, text: str) -> None:
        """Adds a spelling; others may search meanwhile."""
        for place in range(self.step):
            gram = text[place : place + self.gram]
            self.found.setdefault(gram, []).append((text, place))


class _Known:
    """What a redactor was told. It only ever grows, by steps that Python does not interrupt.

    The index grows with it, since with every account there are more secrets. Only a spelling that
    is too short for it makes it anew, which happens three times at most. Threads may add the same
    spellings at once: each searches an index that has at least those that it has seen.
    """

    def __init__(self) -> None:
        self.secrets: set[str] = set()
        self._spellings: list[str] = []
        self._known: set[str] = set()
        self._index = _Index(_SHORTEST + _LONGEST_STEP)

    def add(self, secret: str, spellings: set[str]) -> None:
        """Adds a secret with all its spellings."""
        for text in spellings - self._known:
            self._spellings.append(text)
            self._known.add(text)  # last, as below: it may be interrupted, and be told again
        self.secrets.add(secret)

    def index(self) -> _Index:
        """The index of all spellings."""
        index, count = self._index, len(self._spellings)
        if new := self._spellings[index.done : count]:
            shortest = min(map(len, new))
            if not index.fits(shortest):
                index, new = _Index(shortest), self._spellings[:count]
            for text in new:
                index.add(text)
            index.done = count
            self._index = index
        return index


class Redactor:
    """Knows secrets, and puts a placeholder in their place.

    Several threads may use it. What was told is never forgotten: a token that is over may still be
    in a message.

    That of a part tells the whole what it is told. What it shows has no secret of any part. But
    what is kept, and what is decided by `holds`, depends on the secrets of the part alone: a plan
    must not be another one because of what other accounts have read by then.

    Args:
        whole: that of all parts; None if it is no part.
    """

    __slots__ = ("__known", "__shared")

    def __init__(self, whole: Redactor | None = None) -> None:
        # In a closure, where what dumps attributes, at whatever depth, does not come.
        known = _Known()
        self.__known: Callable[[], _Known] = lambda: known
        self.__shared: Callable[[], _Known] = self.__known if whole is None else whole.__shared  # noqa: SLF001 - of this class

    def know(self, *secrets: str) -> None:
        """From now on these are taken out, too; an empty one is none."""
        known, shared = self.__known(), self.__shared()
        for secret in secrets:
            if secret not in known.secrets:
                spellings = _spellings(secret)
                shared.add(secret, spellings)
                known.add(secret, spellings)

    def holds(self, text: str) -> bool:
        """Whether a known secret stands in the text, in any spelling."""
        return next(_found(text, self.__known().index()), None) is not None

    def text(self, text: str) -> str:
        """The text, which is shown, with a placeholder for each secret."""
        index = self.__shared().index()
        return self.__without(text, (*_found(text, index), *_parts(text, index)))

    def __without(self, text: str, spans: Iterable[tuple[int, int]]) -> str:
        parts, done = [], 0
        # Of those that begin at one place the longest: it may hold the others.
        for start, end in sorted(spans, key=lambda span: (span[0], -span[1])):
            if start >= done:
                parts += [text[done:start], PLACEHOLDER]
            done = max(done, end)
        return "".join((*parts, text[done:])) if parts else text

    def document(self, text: str, *, is_shown: bool = False) -> str:
        """The text of a JSON document with a placeholder for each secret in its texts and keys.

        It stays the document that it is: a number is never a secret, and no quote or brace goes.
        One that is shown, and not kept, has no part of a secret either.
        """
        index = (self.__shared() if is_shown else self.__known()).index()
        text = self.__without_in_strings(text, partial(_found, index=index))
        return self.__without_in_strings(text, partial(_parts, index=index)) if is_shown else text

    def value(self, value: Any) -> Any:  # noqa: ANN401 - any JSON
        """The JSON value with a placeholder for each secret."""
        import json  # 2 ms that `--version` saves

        text = json.dumps(value)
        return json.loads(self.document(text)) if self.holds(text) else value

    def __without_in_strings(
        self, document: str, spans_in: Callable[[str], Iterator[tuple[int, int]]]
    ) -> str:
        """The JSON document with a placeholder for what of its strings is in such a span."""
        if next(spans_in(document), None) is None:
            return document
        import json  # 2 ms that `--version` saves

        def clean(found: re.Match[str]) -> str:
            text = json.loads(found[0], strict=False)
            spans = tuple(spans_in(text))
            # In ASCII, in which every text can be written.
            return json.dumps(self.__without(text, spans)) if spans else found[0]

        return _STRING.sub(clean, document)

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise TypeError("what knows secrets is not copied or stored")


def _found(text: str, index: _Index) -> Iterator[tuple[int, int]]:
    """Where secrets begin and end, in no order and as often as they are found."""
    gram, found = index.gram, index.found
    last = len(text) - gram + 1
    for at in [at for at in range(0, last, index.step) if text[at : at + gram] in found]:
        for spelling, place in found[text[at : at + gram]]:
            if at >= place and text.startswith(spelling, at - place):
                yield at - place, at - place + len(spelling)


def _parts(text: str, index: _Index) -> Iterator[tuple[int, int]]:
    """Where the beginnings of secrets stand that were cut."""
    gram, found, done = index.gram, index.found, 0
    for cut in _CUT.finditer(text):
        end = cut.start()
        for at in range(max(done, end - _FARTHEST), end - gram + 1):
            for spelling, place in found.get(text[at : at + gram], ()):
                if not place and spelling.startswith(text[at:end]):
                    yield at, end
        done = end


def _spellings(secret: str) -> set[str]:
    """Every way in which a secret is looked for."""
    if len("".join(secret.split())) < _SHORTEST:
        return set()
    lines = {line for line in secret.splitlines() if len(line) >= _LINE}
    # AlertSite trims what it keeps.
    found = {form for text in {secret, secret.strip(), *lines} for form in _forms(text)}
    return {form for form in found if len(form) >= _SHORTEST}


def _forms(secret: str) -> Iterator[str]:
    import json

    yield secret
    yield from _packed(secret)
    if secret.isascii() and secret.isalnum():
        return  # nobody spells that in another way
    from urllib.parse import quote_plus  # 5 ms that `--version` saves

    yield from ("".join(secret.split()), " ".join(secret.split()))
    texts: set[str] = set()
    for spelt in (_json, _url, _html, _shown):
        texts.update(spelt(secret))
    texts |= {repr(secret)[1:-1], ascii(secret)[1:-1], repr(_bytes(secret))[2:-1]}
    for text in texts:
        yield text
        # A library shows the bytes that it has read: a body, a header; or a body holds a body.
        yield repr(_bytes(text))[2:-1]
        yield json.dumps(text)[1:-1]
    # A body may be packed as a whole. As most libraries write it: there is no end to spellings.
    for body in _in_json(secret) - {secret}:
        yield from (*_packed(body), *_url(body))
    yield from _packed(quote_plus(secret, errors="surrogatepass"))


def _packed(text: str) -> Iterator[str]:
    """The text in hex, and what is the same of it in base64 wherever it begins and ends there."""
    data = _bytes(text)
    yield from (data.hex(), data.hex().upper())
    for before in range(3):
        packed = b2a_base64(bytes(before) + data, newline=False).decode().rstrip("=")
        whole = (before + len(data)) % 3 == 0
        inner = packed[(0, 2, 3)[before] : None if whole else -1]
        yield from (inner, inner.replace("+", "-").replace("/", "_"))
        # In JSON that marks slashes, and in a URL.
        yield from (inner.replace("/", r"\/"), _with(inner, ("+", "%2B"), ("/", "%2F")))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _in_json(text: str) -> set[str]:
    """The text as JSON has it, in ASCII and not."""
    import json

    return {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}


def _json(secret: str) -> Iterator[str]:
    tags = (("<", r"\u003c"), (">", r"\u003e"), ("&", r"\u0026"))
    for text in _in_json(secret):
        for marks in {text, _with(text, *tags)}:
            for quoted in {marks, marks.replace("'", r"\u0027")}:
                for coded in {_with(quoted, *codes) for codes in _CODES_IN_JSON}:
                    for slashes in {coded, coded.replace("/", r"\/")}:
                        yield slashes
                        yield _UNICODE.sub(lambda found: "\\u" + found[0][2:].upper(), slashes)


def _html(secret: str) -> Iterator[str]:
    text = _with(secret, ("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"))
    yield text
    for apostrophe in ("'", "&#x27;", "&#39;", "&apos;"):
        for mark in ("&quot;", "&#34;"):
            quoted = _with(text, ('"', mark), ("'", apostrophe))
            yield from (_with(quoted, *codes) for codes in _CODES_IN_HTML)
    for code in ("&#{};", "&#x{:x};", "&#x{:X};"):
        yield "".join(code.format(ord(it)) if _SPECIAL.match(it) else it for it in secret)


def _shown(secret: str) -> Iterator[str]:
    """As this tool shows it: in a text or in JSON, safe to print, and as `render/` quotes it."""
    for text in {secret} | _in_json(secret):
        # What a runner or a terminal takes for a command depends on what is before and after.
        around = ((before, after) for before in ("", "x") for after in ("", "["))
        for safe in {
            printable(f"{before}{text}{after}").removeprefix(before).removesuffix(after)
            for before, after in around
        }:
            yield safe
            yield from (*_html(safe), *_url(safe))
            data = safe.replace("%", "%25")
            yield from (data, _with(data, (":", "%3A"), (",", "%2C")))  # GitHub
            yield safe.replace('"', '""')  # CSV
            yield _SARIF.sub(r"\\\g<0>", _with(safe, ("{", "{{"), ("}", "}}")))


def _url(secret: str) -> Iterator[str]:
    from urllib.parse import quote, quote_plus  # 5 ms that `--version` saves

    data = _bytes(secret)
    for text in (quote(data), quote(data, safe=""), quote_plus(data), quote(data, safe="!*'()")):
        yield text
        yield _PERCENT.sub(lambda found: found[0].lower(), text)


def _with(text: str, *changes: tuple[str, str]) -> str:
    for old, new in changes:
        text = text.replace(old, new)
    return text
