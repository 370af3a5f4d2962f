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
        sent = 300 * len(long) * (len(TEXTS) + 4)  # 60 MB
        assert tracemalloc.get_traced_memory()[0] < sent / 5
    finally:
        tracemalloc.stop()


TEXTS = (b"user-agent", b"accept-language", b"referer", b"sec-ch-ua", b"signature-agent", b"cookie")
