from __future__ import annotations

import pytest

from trainers.yolov5 import Settings
from trainers.yolov5.memory import Room, chosen, machine_memory, training_bytes

ROOM = Room(disk=100, memory=1000)


@pytest.mark.parametrize(
    ("cache", "size", "missing", "room", "expected"),
    [
        ("auto", 200, 100, ROOM, "disk"),
        ("auto", 200, 101, ROOM, "none"),  # the disk is too full
        ("auto", 750, 0, ROOM, "disk"),  # written already
        ("auto", 751, 0, ROOM, "none"),  # would be read from the disk again and again
        ("auto", 751, 0, Room(100, None), "disk"),
        ("ram", 10**9, 10**9, ROOM, "ram"),
        ("disk", 10**9, 10**9, ROOM, "disk"),
        ("none", 1, 1, ROOM, "none"),
    ],
)
def test_files_are_used_where_they_fit(cache, size, missing, room, expected):
    assert chosen(cache, size, missing, room) == expected


def test_room_is_that_of_the_folder_to_come(tmp_path):
    assert Room.at(tmp_path / "a" / "b").disk > 0
    memory = machine_memory()
    assert memory is None or memory > 1e8


def test_a_step_takes_more_with_batch_size_and_precision():
    def taken(half=True, **options):
        return training_bytes(Settings(data="a.yaml", **{"model": "n", **options}), 80, half=half)

    assert taken() < taken(batch=32) < taken(batch=64)
    assert taken() < taken(model="s") < taken(model="m")
    assert taken(img=320) < taken()
    assert taken(batch=64) < taken(half=False, batch=64)
    assert 3e9 < taken(model="s") < 6e9  # what users of YOLOv5s report at 640 and batch 16
