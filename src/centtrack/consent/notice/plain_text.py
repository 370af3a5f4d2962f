"""The words of a page without its markup, as the ledger keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from html.parser import HTMLParser

_INLINE = {"a", "b", "code", "em", "i", "input", "label", "span", "strong", "time"}
_UNSEEN = {"head", "script", "style", "template"}


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._unseen = 0

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self._unseen += tag in _UNSEEN
        if tag not in _INLINE:
            self.parts.append("\n")
        if tag == "input" and ("type", "checkbox") in attrs:
            self.parts.append("[x] " if "checked" in dict(attrs) else "[ ] ")

    def handle_endtag(self, tag: str) -> None:
        self._unseen -= tag in _UNSEEN
        if tag not in _INLINE:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.parts.append(" ".join(data.split("\n")))


def plain_text(html: str) -> str:
    """What a page says, a line a block; a box to tick is `[ ]`, a ticked one `[x]`."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    lines = (" ".join(line.split()) for line in "".join(reader.parts).split("\n"))
    return "\n".join(line for line in lines if line)
