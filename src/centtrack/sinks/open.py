"""From a URL, a function or a list of them to sinks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from importlib.metadata import entry_points
from inspect import iscoroutinefunction
from typing import Any, cast

from centtrack.errors import ConfigurationError
from centtrack.event import Event
from centtrack.logs import describe
from centtrack.sinks.base import CallableSink, Sink, name_of
from centtrack.spelling import nearest

SINK_VARIABLE = "CENTTRACK_SINK"
ENTRY_POINTS = "centtrack.sinks"

_SHOWN = 32  # characters of what may be no scheme at all

SinkLike = str | Sink | Callable[[list[Event]], object]


def open_sink(url: str) -> Sink:
    """The sink that a URL stands for. Nothing is connected to yet: that happens in the thread that delivers.

    Args:
        url: `memory:`, `jsonl:PATH` (`-` is standard output), `delta:PATH_OR_OBJECT_STORE_URL`, or the scheme of a
            sink that an installed package registers in the entry-point group `centtrack.sinks`.

    Raises:
        ConfigurationError: if no sink has this scheme, or the rest of the URL is wrong.
        MissingExtraError: if the sink needs a package that isn't installed.
    """
    scheme, colon, _ = url.partition(":")
    known = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if not colon or scheme not in known:
        names = ", ".join(f"{name}:" for name in sorted(known))
        hint = nearest(f"{scheme}:", [f"{name}:" for name in known])
        if not colon and scheme in known:
            hint = f' Did you mean "{scheme}:…"?'
        # What stands before an @ may be a password, and what isn't printable may be meant for a terminal or a log.
        shown = "".join(one if one.isprintable() else "?" for one in scheme.rpartition("@")[2][:_SHOWN])
        raise ConfigurationError(f'"{shown}{colon}" names no sink; there are {names}.{hint}')
    try:
        return cast("Sink", known[scheme].load()(url))
    except ConfigurationError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever another's package raises
        # Without the error's text, which may hold the URL, and with it a password: not as its cause either, which a
        # traceback shows.
        raise ConfigurationError(f'the sink "{scheme}:" can\'t be made: {describe(error)}') from None


def open_sinks(sinks: SinkLike | Iterable[SinkLike] | None) -> list[Sink]:
    """What `sink=` of the middleware means.

    Args:
        sinks: a URL, a sink, a function that takes a list of events, or a list of these; None: `$CENTTRACK_SINK`.

    Raises:
        ConfigurationError: if there is none, one can't be opened, or two have the same name.
    """
    if sinks is None:
        sinks = os.environ.get(SINK_VARIABLE) or []
    given = list(sinks) if isinstance(sinks, Iterable) and not isinstance(sinks, (str, Sink)) else [sinks]
    if not given:
        raise ConfigurationError(
            f'no sink: say where events go, as in sink="delta:./telemetry", or set ${SINK_VARIABLE}'
        )
    opened = [_open(sink) for sink in given]
    names = [name_of(sink) for sink in opened]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise ConfigurationError(f"two sinks are named {doubled[0]}: each needs a name of its own for its cursor")
    return opened


def _open(sink: Any) -> Sink:
    if isinstance(sink, str):
        return open_sink(sink)
    if isinstance(sink, type):
        raise ConfigurationError(f"{sink.__name__} is a class: give an object of it, as in {sink.__name__}()")
    if any(map(iscoroutinefunction, (sink, getattr(sink, "write", None), getattr(sink, "__call__", None)))):  # noqa: B004
        raise ConfigurationError(
            f"{getattr(sink, '__name__', type(sink).__name__)} is async: a sink is called from a thread of its own, "
            "give a plain function"
        )
    if isinstance(sink, Sink):
        return sink
    if callable(sink):
        return CallableSink(sink)
    raise ConfigurationError(
        f"{type(sink).__name__} is no sink: give a URL, a function that takes a list of events, "
        "or an object with write(events)"
    )
