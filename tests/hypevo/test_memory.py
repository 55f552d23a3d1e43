"""Memory goes back."""

import gc
import weakref

from hypevo.memory import release_memory


class Figure:
    def __init__(self):
        self.itself = self


def test_what_only_refers_to_itself_is_gone():
    gc.disable()
    try:
        left = weakref.ref(Figure())
        assert left() is not None
        release_memory()
        assert left() is None
    finally:
        gc.enable()
