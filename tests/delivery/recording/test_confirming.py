"""Waiting on an event loop for a thread."""

from __future__ import annotations

import threading

import anyio
import anyio.lowlevel
import pytest

from centtrack.delivery.recording.confirming import wait_for

LONG_S = 30.0


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    return request.param


@pytest.mark.anyio
async def test_it_ends_when_it_is_called_in_another_thread():
    threads = []

    def register(tell):
        threads.append(threading.Thread(target=tell))
        threads[-1].start()

    assert await wait_for(register, LONG_S)
    threads[0].join()


@pytest.mark.anyio
async def test_it_ends_when_it_is_called_at_once():
    assert await wait_for(lambda tell: tell(), LONG_S)


@pytest.mark.anyio
async def test_it_gives_up_in_time():
    assert not await wait_for(lambda _: None, 0.01)


@pytest.mark.anyio
async def test_a_call_that_comes_too_late_does_nothing():
    late = []
    assert not await wait_for(late.append, 0.01)
    late[0]()
    await anyio.lowlevel.checkpoint()


@pytest.mark.anyio
async def test_a_cancelled_task_is_not_kept():
    with anyio.move_on_after(0.01) as scope:
        await wait_for(lambda _: None, LONG_S)
    assert scope.cancelled_caught
