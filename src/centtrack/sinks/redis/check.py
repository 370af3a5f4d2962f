"""What `centtrack sink check` looks at in a Redis."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping

import redis

from centtrack.sinks.finding import Finding
from centtrack.sinks.redis.errors import explain
from centtrack.sinks.redis.settings import Settings

_LEAST = 5  # the first that has streams
_REWRITE = "CONFIG REWRITE"  # else it is as before after the next start
_MARK: list[bytes | str | float] = ["centtrack-check", 0, ""]
# No reader sees the probe. What may not be done fails before it is added.
_PROBE = """
redis.call('XDEL', KEYS[1], '0-1')
redis.call('XRANGE', KEYS[1], '0-1', '0-1')
local id = redis.call('XADD', KEYS[1], '*', 'centtrack-probe', '1')
local found = redis.call('XRANGE', KEYS[1], id, id)
redis.call('XDEL', KEYS[1], id)
if #found ~= 1 then return redis.error_reply('ERR the probe is not there') end
return 1
"""


def look(settings: Settings, script: str) -> Iterator[Finding]:
    """Look at everything, one after another, until something is missing that the rest needs.

    Args:
        settings: of the sink.
        script: that it adds batches with.
    """
    client = settings.make_client()
    with contextlib.closing(client):
        reached = _tried(settings, "reaches the server, and is let in", client.ping)
        yield reached
        if reached.problem:
            return
        yield from _server(settings, client)
        yield from _stream(settings, client, script)


def _tried(settings: Settings, what: str, call: Callable[[], object]) -> Finding:
    try:
        call()
    except (redis.RedisError, OSError) as error:
        problem, fix = explain(settings, error)
        return Finding(what, problem, fix or None)
    return Finding(what)


def _server(settings: Settings, client: redis.Redis) -> Iterator[Finding]:
    try:
        info: Mapping[str, object] = client.info()
    except redis.RedisError:
        yield Finding("the server's state can't be read by this user, so it wasn't looked at")
        return
    version = str(info.get("redis_version", "unknown"))
    major = version.partition(".")[0]
    is_old = major.isdecimal() and int(major) < _LEAST
    yield Finding(
        f"its version is {version}", "there are streams from Redis 5 on: take a newer one" if is_old else None
    )
    if info.get("role") not in {None, "master"}:
        yield Finding("is a master", "it is a replica, which takes no events: name the master")
    yield _memory(info)
    yield _persistence(info)


def _memory(info: Mapping[str, object]) -> Finding:
    policy = str(info.get("maxmemory_policy", "unknown"))
    what = f"keeps the stream when its memory is full (maxmemory-policy {policy})"
    if not policy.startswith("allkeys-"):
        return Finding(what)
    fix = f"CONFIG SET maxmemory-policy noeviction\n{_REWRITE}"
    return Finding(what, "it may throw the whole stream away, read or not", fix)


def _persistence(info: Mapping[str, object]) -> Finding:
    what = "keeps a log of its data on disk"
    if info.get("aof_enabled"):
        return Finding(what)
    problem = "when it crashes, what was delivered since its last snapshot is lost"
    return Finding(what, problem, f"CONFIG SET appendonly yes\n{_REWRITE}")


def _stream(settings: Settings, client: redis.Redis, script: str) -> Iterator[Finding]:
    kind, keys = "", [settings.stream, settings.batches]

    def look_at_kind() -> None:
        nonlocal kind
        found = client.type(settings.stream)
        kind = found.decode() if isinstance(found, bytes) else found

    seen = _tried(settings, f"may look at {settings.stream}", look_at_kind)
    if seen.problem:
        yield seen
    elif kind not in {"stream", "none"}:
        yield Finding(f"finds a stream, or nothing, at {settings.stream}", f"it is a {kind}: name another one")
        return
    else:
        there = "is there" if kind == "stream" else "is not there yet: the first batch makes it"
        yield Finding(f"stream {settings.stream} {there}")
    # A batch without events, which leaves its mark only.
    yield _tried(settings, "may run the script that adds batches", lambda: client.register_script(script)(keys, _MARK))
    yield _tried(settings, "may add a probe, read it and take it out", lambda: client.register_script(_PROBE)(keys))
