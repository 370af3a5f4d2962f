"""Waiting, on an event loop, for what the recorder's thread does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial

import anyio.to_thread

WITHIN_S = 0.050

Register = Callable[[Callable[[], object]], None]
"""Has a function called, later, in whatever thread."""


async def wait_for(register: Register, within_s: float = WITHIN_S) -> bool:
    """Wait until what is registered is called; False if that takes too long.

    Args:
        register: takes the function to call.
        within_s: seconds.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # trio's, where a thread can't reach a task without its token
        called = threading.Event()
        register(called.set)
        return await anyio.to_thread.run_sync(partial(called.wait, within_s), abandon_on_cancel=True)
    future: asyncio.Future[None] = loop.create_future()
    register(partial(loop.call_soon_threadsafe, _resolve, future))
    done, _ = await asyncio.wait({future}, timeout=within_s)
    return bool(done)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
