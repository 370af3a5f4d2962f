"""The sink: each event is an entry, and a batch is added at once, unless the stream has it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from centtrack.errors import MissingExtraError
from centtrack.event import Event
from centtrack.locks import no_fork
from centtrack.sinks.base import Batch
from centtrack.sinks.finding import Finding
from centtrack.sinks.redis.settings import read_settings

if TYPE_CHECKING:
    from redis import Redis
    from redis.commands.core import Script

try:
    from centtrack.sinks.redis.check import look
    from centtrack.sinks.redis.errors import told_safely
except ImportError:
    look = None  # type: ignore[assignment]

# The mark is set last: if an entry can't be added, the batch isn't marked. Before that it is set to what it was: a user
# who may add entries, but set no mark, would add them again at each attempt.
SCRIPT = """
local stream, sequence, max_length = ARGV[1], ARGV[2], ARGV[3]
if stream ~= '' then
  local done = redis.call('HGET', KEYS[2], stream)
  if done and tonumber(done) >= tonumber(sequence) then return 0 end
  redis.call('HSET', KEYS[2], stream, done or -1)
end
for i = 4, #ARGV, 3 do
  if max_length == '' then
    redis.call('XADD', KEYS[1], '*', 'event_id', ARGV[i], 'schema_version', ARGV[i + 1], 'event', ARGV[i + 2])
  else
    redis.call('XADD', KEYS[1], 'MAXLEN', '~', max_length, '*',
      'event_id', ARGV[i], 'schema_version', ARGV[i + 1], 'event', ARGV[i + 2])
  end
end
if stream ~= '' then redis.call('HSET', KEYS[2], stream, sequence) end
return 1
"""


class _Head(msgspec.Struct, gc=False):
    """What an entry needs of an event beside its line."""

    event_id: str
    schema_version: int = 1


_decoder = msgspec.json.Decoder(_Head)


class RedisSink:
    """Adds each event to a stream, as an entry with `event_id`, `schema_version` and `event`, which is JSON.

    A batch and the mark that the stream has it are written by one script: a batch that comes again changes nothing.
    """

    linger_s = 0.5
    timeout_s = 30.0

    def __init__(self, url: str) -> None:
        if look is None:
            raise MissingExtraError("The redis: sink", "redis")
        self._settings = read_settings(url)
        self.name = self._settings.name
        self._client: Redis | None = None
        self._script: Script | None = None

    def open(self) -> None:
        """Connect.

        Raises:
            ConfigurationError: if the server doesn't let this user in.
            RetryLater: if it doesn't answer.
        """
        self.close()
        with no_fork():
            self._client = client = self._settings.make_client()
        self._script = client.register_script(SCRIPT)
        with told_safely(self._settings):
            client.ping()

    def write(self, events: Sequence[Event]) -> None:
        """Add a batch, unless the stream has it already.

        Raises:
            ConfigurationError: if the key holds something else, or this user may not add to it.
            RetryLater: if the server doesn't answer, or is full or busy.
        """
        if self._script is None:
            self.open()
        script, settings = self._script, self._settings
        assert script is not None  # noqa: S101 - for the type checker: open() made it
        batch = events if isinstance(events, Batch) else Batch(events)
        arguments: list[bytes | str | int] = [batch.stream, batch.sequence, settings.max_length or "", *_entries(batch)]
        with told_safely(settings):
            script(keys=[settings.stream, settings.batches], args=arguments)

    def close(self) -> None:
        """End the connection, and with it a call that waits for an answer."""
        client, self._client, self._script = self._client, None, None
        if client is not None:
            client.connection_pool.disconnect(inuse_connections=True)

    def check(self) -> Iterator[Finding]:
        """Look at server, stream and rights; add a probe and take it out again, so that no reader sees it."""
        return look(self._settings, SCRIPT)


def _entries(batch: Batch) -> Iterator[bytes | str | int]:
    """Id, version and line of each event, one after another."""
    for head, line in batch.heads(_decoder):
        yield head.event_id
        yield head.schema_version
        yield line
