from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from trainers.yolov5.labels import label_path, read_labels
from trainers.yolov5.text import BadFileError


@pytest.fixture
def written(tmp_path):
    def write(text: str | bytes) -> Path:
        path = tmp_path / "a.txt"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("/d/images/train/a.jpg", "/d/labels/train/a.txt"),
        ("/images/d/images/a.b.png", "/images/d/labels/a.b.txt"),
        ("/d/pictures/a.jpg", "/d/pictures/a.txt"),
        ("/d/images/with space/ü.jpeg", "/d/labels/with space/ü.txt"),
    ],
)
def test_label_lies_in_the_last_images_folder_renamed(image, label):
    assert label_path(Path(image)) == Path(label)


def test_box_rows_are_read_in_order(written):
    labels = read_labels(written("1 .5 .5 .2 .4\n0 0.25 0.75 1e-1 0.1\n"), 2)
    assert np.allclose(labels.boxes, [[1, 0.5, 0.5, 0.2, 0.4], [0, 0.25, 0.75, 0.1, 0.1]])
    assert labels.polygons == (None, None)


def test_a_polygon_gives_its_bounding_box_and_its_points(written):
    labels = read_labels(written("2 0.1 0.2 0.5 0.2 0.3 0.8\n"), 3)
    assert np.allclose(labels.boxes, [[2, 0.3, 0.5, 0.4, 0.6]])
    assert np.allclose(labels.polygons[0], [[0.1, 0.2], [0.5, 0.2], [0.3, 0.8]])


@pytest.mark.parametrize("text", ["", "\n\n", "  \r\n"])
def test_an_empty_file_means_background(written, text):
    assert read_labels(written(text), 1).boxes.shape == (0, 5)


def test_no_file_means_background_and_is_told_from_an_empty_one(tmp_path, written):
    labels = read_labels(tmp_path / "none.txt", 1)
    assert labels.boxes.shape == (0, 5)
    assert not labels.found
    assert read_labels(written(""), 1).found


def test_windows_line_ends_and_byte_order_mark_are_read(written):
    labels = read_labels(written(b"\xef\xbb\xbf0 .5 .5 .1 .1\r\n0 .2 .2 .1 .1\r\n"), 1)
    assert len(labels.boxes) == 2


def test_repeated_rows_are_dropped_and_counted(written):
    labels = read_labels(written("0 .5 .5 .1 .1\n0 .2 .2 .1 .1\n0 0.50 .5 .1 .1\n"), 1)
    assert np.allclose(labels.boxes[:, 1], [0.5, 0.2])
    assert labels.duplicates == 1


def test_outlines_of_one_box_are_one_label_as_in_yolov5(written):
    rows = "0 .1 .1 .5 .1 .5 .5 .1 .5\n0 .1 .1 .5 .5 .1 .5\n1 .1 .1 .5 .5 .1 .5\n0 .50000001 .5 .1 .1\n0 .5 .5 .1 .1\n"
    labels = read_labels(written(rows), 2)
    assert labels.boxes[:, 0].tolist() == [0, 1, 0]
    assert len(labels.polygons[0]) == 4
    assert labels.duplicates == 2


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("0 1.00000001 .5 1.0000001 .25", [0, 1, 0.5, 1, 0.25]),
        ("0 -0.0 .5 .5 -1e-60", [0, 0, 0.5, 0.5, 0]),
        ("0.0\t.5\t.5\t.25\t1e-1", [0, 0.5, 0.5, 0.25, np.float32(0.1)]),
    ],
)
def test_what_float32_makes_of_a_number_counts(written, row, expected):
    labels = read_labels(written(row), 1)
    assert labels.boxes.tolist() == [expected]
    assert not np.signbit(labels.boxes).any()


def test_a_class_too_high_names_file_and_line(written):
    path = written("0 .5 .5 .1 .1\n\n80 .5 .5 .1 .1\n")
    with pytest.raises(ValueError, match=r"a\.txt, line 3: class 80, but .* 80 classes") as caught:
        read_labels(path, 80)
    assert not isinstance(caught.value, BadFileError)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("0 .5 .5 .1", "4 columns"),
        ("0 .5 .5 .1 .1 .9", "6 columns"),
        ("0 .1 .1 .2 .2 .3 .3 .4", "8 columns"),
        ("0 -.1 .5 .1 .1", "holds -0.1, expected coordinates from 0 to 1"),
        ("0 .5 .5 1.01 .1", "holds 1.01"),
        ("0 .5 .5 1.0000003 .1", "holds 1.0000003"),
        ("0 .5 .5 -1e-8 .1", "holds -1e-08"),
        ("0 .5 .5 1e300 .1", "holds 1e+300"),
        ("\0\0", "no number: '\\x00"),
        ("0 .5 .5 nan .1", "holds nan"),
        ("0 .1 .1 .2 .2 .3 1.2", "holds 1.2"),
        ("0.5 .5 .5 .1 .1", "starts with 0.5, expected a class number"),
        ("-1 .5 .5 .1 .1", "starts with -1"),
        ("nan .5 .5 .1 .1", "starts with nan"),
        ("cat .5 .5 .1 .1", "no number"),
    ],
)
def test_a_bad_row_names_line_and_reason(written, row, reason):
    path = written(f"0 .5 .5 .1 .1\n{row}\n")
    with pytest.raises(BadFileError, match="line 2") as caught:
        read_labels(path, 1)
    assert reason in str(caught.value)


def test_a_binary_file_is_refused(written):
    with pytest.raises(BadFileError, match="not a text file"):
        read_labels(written(b"\xff\xd8\xff\xe0"), 1)


def test_a_utf_16_file_and_a_pipe_are_told_what_they_are(written, tmp_path):
    with pytest.raises(BadFileError, match="got UTF-16"):
        read_labels(written("0 .5 .5 .1 .1\n".encode("utf-16")), 1)
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(BadFileError, match="got a pipe"):
        read_labels(tmp_path / "pipe.txt", 1)


def test_five_hundred_boxes_are_read(written):
    rows = "".join(f"0 {i / 1000:.3f} .5 .01 .01\n" for i in range(500))
    assert len(read_labels(written(rows), 1).boxes) == 500


def test_a_gigabyte_of_zeros_is_refused(tmp_path):
    path = tmp_path / "a.txt"
    path.touch()
    os.truncate(path, 1 << 30)
    with pytest.raises(BadFileError, match="at most 10,000,000 bytes, got 1,073,741,824"):
        read_labels(path, 1)
