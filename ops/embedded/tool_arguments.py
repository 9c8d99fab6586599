"""Fill the arguments of a tool from the words of a user, by the tool's JSON Schema and without a model.

- ``name=value`` and ``name="a few words"`` give an argument by its name, an optional one too.
- The other required arguments are taken from what is left: numbers from the numbers in their order, an ``enum`` from
  the value that appears, a flag from yes, no, true or false.
- Each required text takes one word or one phrase in quotes; the last one takes all the rest.
- What the words do not have is 0, false, "", the first value of an ``enum``, or an empty list.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

DEEPEST = 5
"""Levels of nested objects. Deeper ones stay empty: a schema may contain itself."""

SEARCHED = 200
"""Words that are searched for a number, a flag or a value: a long text must not hold up the server's loop."""

_NAMED = re.compile(r"""(?<![\w-])(\w{1,64})=("[^"]*"|[^\s"]\S*)""")
_WORD = re.compile(r'"[^"]*"|\S+')
_NUMBER = re.compile(r"[-+]?\d{1,15}(?:\.\d{1,15})?")
_AROUND = " \t\r\n.,;:!?"
_PHRASE = re.compile(r'"([^"]*)"')
_FILLERS = frozenset(
    {"a", "an", "and", "about", "at", "call", "for", "from", "in", "of", "on", "please", "the", "then", "to", "use"}
    | {"using", "with"}
)
_TRUE, _FALSE = frozenset({"true", "yes"}), frozenset({"false", "no"})


def meaningful(text: str) -> str:
    """Return the text without punctuation and filler words at its ends."""
    words = _WORD.findall(text)
    kept = [place for place, word in enumerate(words) if not _is_filler(word)]
    return " ".join(words[kept[0] : kept[-1] + 1]).strip(_AROUND) if kept else ""


def _is_filler(word: str) -> bool:
    bare = word.strip(_AROUND)
    return not bare or bare.casefold() in _FILLERS


def arguments_of(schema: Mapping[str, Any], words: str) -> dict[str, Any]:
    """Return arguments for *schema*, an object's JSON Schema."""
    return _Filling(
        schema.get("$defs") or {}, dict(_NAMED.findall(words)), _WORD.findall(meaningful(_NAMED.sub(" ", words)))
    ).filled(schema, 0)


@dataclass(slots=True)
class _Filling:
    definitions: Mapping[str, Any]
    named: dict[str, str]
    words: list[str]
    """The words that no argument has taken yet."""

    def filled(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties = {name: self._resolved(each) for name, each in (schema.get("properties") or {}).items()}
        required = set(schema.get("required") or ())
        wanted = {name: each for name, each in properties.items() if name in required or name in self.named}
        texts = [name for name, each in wanted.items() if _is_text(each) and name not in self.named]
        values = {name: self._value(name, each, depth) for name, each in wanted.items() if name not in texts}
        for name in texts:
            values[name] = self._text(last=name == texts[-1])
        return {name: values[name] for name in wanted}

    def _value(self, name: str, schema: Mapping[str, Any], depth: int) -> Any:  # noqa: ANN401 - any JSON
        if name not in self.named:
            return self._by_type(schema, depth)
        value = self.named[name].strip('"')
        if _is_text(schema):
            return value
        return _Filling(self.definitions, {}, _WORD.findall(value))._by_type(schema, depth)  # noqa: SLF001 - its own class

    def _by_type(self, schema: Mapping[str, Any], depth: int) -> Any:  # noqa: ANN401, PLR0911 - one line a type
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self._one_of(schema["enum"])
        match schema.get("type"):
            case "integer":
                return int(self._number())
            case "number":
                return self._number()
            case "boolean":
                return self._flag()
            case "array":
                return self._list(self._resolved(schema.get("items") or {}), depth)
            case "object":
                return self.filled(schema, depth + 1) if depth < DEEPEST else {}
            case "null":
                return None
            case _:
                return self._text(last=True)

    def _list(self, items: Mapping[str, Any], depth: int) -> list[Any]:
        return [self._by_type(items, depth + 1)] if self.words and depth < DEEPEST else []

    def _one_of(self, values: list[Any]) -> Any:  # noqa: ANN401 - any JSON
        names = {str(value).casefold(): value for value in values}
        return names[word] if (word := self._taken(lambda word: word in names)) else values[0]

    def _number(self) -> float:
        word = self._taken(lambda word: _NUMBER.fullmatch(word) is not None)
        return float(word) if word else 0.0

    def _flag(self) -> bool:
        return self._taken(lambda word: word in _TRUE or word in _FALSE) in _TRUE

    def _taken(self, fits: Callable[[str], bool]) -> str:
        for place, word in enumerate(self.words[:SEARCHED]):
            if fits(bare := word.strip(_AROUND + '"').casefold()):
                del self.words[place]
                return bare
        return ""

    def _text(self, *, last: bool) -> str:
        taken = self.words if last else self.words[:1]
        self.words = [] if last else self.words[1:]
        text = meaningful(" ".join(taken))
        phrase = _PHRASE.fullmatch(text)
        return phrase[1] if phrase else text

    def _resolved(self, schema: object) -> Mapping[str, Any]:
        """Follow references, and take the first alternative that is not null."""
        for _ in range(DEEPEST):
            if not isinstance(schema, Mapping):
                return {}
            if isinstance(reference := schema.get("$ref"), str):
                schema = self.definitions.get(reference.rpartition("/")[2])
            elif alternatives := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
                schema = next((each for each in alternatives if each != {"type": "null"}), {})
            else:
                return schema
        return {}


def _is_text(schema: Mapping[str, Any]) -> bool:
    return schema.get("type", "string") == "string" and "const" not in schema and not schema.get("enum")
