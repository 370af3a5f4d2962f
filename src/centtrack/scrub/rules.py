"""What a rule of scrubbing is. The rules themselves are in `tokens` and `digits`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

Decide = Callable[[re.Match[str]], str | None]


class Rule(NamedTuple):
    """One pattern, and the kind of what it finds. Its group `found` is replaced if it has one, else all of the match.

    Every pattern is linear in the length of the text, in one of three ways: it is of bounded length; or it takes a
    whole run possessively and can begin only where a run begins; or what it begins with can't occur in the rest.
    Groups are never repeated possessively: CPython before 3.11.5 gets that wrong (python/cpython#106052).

    Attributes:
        needs: without one of these letters in the text the pattern can't match; "" if there are none such.
        pattern: what is looked for.
        kind: what it is; or a function that says so, or None if it is nobody's.
    """

    needs: str
    pattern: re.Pattern[str]
    kind: str | Decide

    def apply(self, text: str, kinds: list[str]) -> str:
        """The text with what was found replaced by `[kind]`; each kind is added to the list.

        Args:
            text: percent-decoded.
            kinds: of what was found so far.
        """
        group = "found" if "found" in self.pattern.groupindex else 0

        def replace(match: re.Match[str]) -> str:
            kind = self.kind if isinstance(self.kind, str) else self.kind(match)
            if kind is None:
                return match[0]
            kinds.append(kind)
            before, after = match.start(group) - match.start(), match.end(group) - match.start()
            return f"{match[0][:before]}[{kind}]{match[0][after:]}"

        return self.pattern.sub(replace, text)
