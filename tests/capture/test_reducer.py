import tracemalloc

from policies import FINEST, capture_under, policy_text


def test_long_texts_are_not_remembered(observation):
    """Whatever is sent: also a route that is a path, and a peer that a server took from a header."""
    capture = capture_under(policy_text(FINEST))
    capture.warm()
    long = "x/" * 10_000
    tracemalloc.start()
    try:
        for number in range(300):
            headers = [(b"host", b"shop.example"), *((name, f"{number}{long}".encode()) for name in TEXTS)]
            where = f"/{number}/{long}"
            capture.capture(observation(path=where, route=where, query=where.encode(), peer=where, headers=headers))
        assert tracemalloc.get_traced_memory()[0] < 4_000_000
    finally:
        tracemalloc.stop()


TEXTS = (b"user-agent", b"accept-language", b"referer", b"sec-ch-ua", b"signature-agent", b"cookie")
