"""Adapters for frameworks that leave no route's template in the ASGI scope; each is added with one line.

Each module is for one framework: `centtrack.frameworks.django`, `.falcon`, `.quart`. None is imported by centtrack
itself. Starlette, FastAPI and Litestar need no adapter.
"""

from centtrack.calls import note_route

__all__ = ["note_route"]
