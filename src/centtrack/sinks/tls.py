"""TLS of sinks: which authorities are trusted, and a certificate of one's own. Servers are always verified."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Self

from centtrack.errors import ConfigurationError

OPTIONS = ("ca", "cert", "key")


class Tls(NamedTuple):
    """Files in PEM, by their paths.

    Attributes:
        ca: certificates of the authorities that are trusted; None: those of the system.
        cert: the client's certificate.
        key: its key, unencrypted.
    """

    ca: str | None = None
    cert: str | None = None
    key: str | None = None

    @classmethod
    def read(cls, scheme: str, options: Mapping[str, str]) -> Self:
        """What a URL's options say.

        Raises:
            ConfigurationError: if a file isn't there, or one of `cert` and `key` is missing.
        """
        files = {name: str(Path(options[name]).expanduser()) for name in OPTIONS if options.get(name)}
        for name, path in files.items():
            if not Path(path).is_file():
                raise ConfigurationError(f"{scheme}: option {name} names no file: {path}")
        if ("cert" in files) != ("key" in files):
            raise ConfigurationError(f"{scheme}: options cert and key go together")
        return cls(**files)

    def context(self) -> ssl.SSLContext:
        """As Python's clients take it.

        Raises:
            ConfigurationError: if a file isn't what it should be.
        """
        try:
            context = ssl.create_default_context(cafile=self.ca)
            context.minimum_version = ssl.TLSVersion.TLSv1_2  # what a system allows may be older
            if self.cert:
                # With a password, though it is none: else that of a locked key is asked for on the terminal.
                context.load_cert_chain(self.cert, self.key, password="")
        except (OSError, ValueError) as error:
            named = ", ".join(path for path in self if path)
            raise ConfigurationError(f"can't be used for TLS: {named} ({type(error).__name__})") from None
        return context
