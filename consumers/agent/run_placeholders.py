"""The placeholders of one run: those of its session, of its request and of its tools' results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from consumers.agent.seams import GuardedText
from consumers.placeholders import literals, merged, restored


@dataclass(slots=True)
class RunPlaceholders:
    """The placeholders that texts of the run may have, with the personal data of each."""

    known: dict[str, str] = field(default_factory=dict[str, str])
    own: set[str] = field(default_factory=set[str])
    """Placeholders for data that the user has written in this session: the answer has the data of these alone."""

    def keep(self, placeholders: Mapping[str, str]) -> None:
        """Add placeholders under their own numbers, those excepted whose number or value the run has already."""
        values = set(self.known.values())
        self.known |= {
            name: value for name, value in placeholders.items() if name not in self.known and value not in values
        }

    def take(self, text: str, placeholders: Mapping[str, str]) -> str:
        """Add the placeholders of a text, and return the text with their numbers in this run.

        A literal that is not one of *placeholders* is put into square brackets: the platform has not written it.
        """
        found = merged(self.known, placeholders, text)
        self.known |= found.placeholders
        return found.text

    def take_guarded(self, guarded: GuardedText, known: Mapping[str, str]) -> str:
        """Return the text of a guard that had *known*. Another guard may have given the same numbers meanwhile."""
        if not guarded.placeholders:
            return guarded.text
        return self.take(guarded.text, {**known, **guarded.placeholders})

    def note_own(self, names: Iterable[str]) -> None:
        """Note placeholders for data that the user has written."""
        self.own |= self.known.keys() & set(names)

    def within(self, *texts: str) -> dict[str, str]:
        """Return the placeholders that the texts have, in the order of their names, to keep them with the texts."""
        found = {each[0] for text in texts if "<" in text for each in literals(text)}
        return {name: self.known[name] for name in sorted(found & self.known.keys())}

    def restored_for_user(self, output: Any) -> Any:  # noqa: ANN401 - JSON
        """Return the answer with the personal data that the user has written."""
        return restored(output, {name: self.known[name] for name in self.own}) if self.own else output
