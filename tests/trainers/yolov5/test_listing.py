from __future__ import annotations

import os

import pytest

from trainers.yolov5.listing import list_images


@pytest.fixture
def tree(tmp_path):
    """Makes empty files below the folder of the test."""

    def write(*names: str):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path

    return write


def found(folder, *sources):
    listing = list_images([folder / source for source in sources], folder)
    return [str(image.relative_to(folder)) for image in listing.images]


def test_folders_are_searched_through_and_sorted(tree):
    folder = tree(
        "images/b.jpg", "images/a.PNG", "images/sub/c.JPG", "images/note.md", "images/d.jpg.d/e.jpg"
    )
    assert found(folder, "images") == [
        "images/a.PNG",
        "images/b.jpg",
        "images/d.jpg.d/e.jpg",
        "images/sub/c.JPG",
    ]


def test_links_to_folders_and_files_are_followed(tree):
    folder = tree("images/a.jpg", "store/b.jpg", "store/deep/c.jpg", "other/d.jpg")
    (folder / "images" / "more").symlink_to(folder / "store")
    (folder / "images" / "one.jpg").symlink_to(folder / "other" / "d.jpg")
    expected = ["images/a.jpg", "images/more/b.jpg", "images/more/deep/c.jpg", "images/one.jpg"]
    assert found(folder, "images") == expected


def test_a_folder_linked_twice_counts_twice_as_in_yolov5(tree):
    folder = tree("images/a.jpg", "store/b.jpg")
    for name in ("x", "y"):
        (folder / "images" / name).symlink_to(folder / "store")
    assert found(folder, "images") == ["images/a.jpg", "images/x/b.jpg", "images/y/b.jpg"]


def test_a_link_back_is_passed_over_and_said(tree):
    folder = tree("images/a.jpg", "images/sub/b.jpg")
    (folder / "images" / "sub" / "back").symlink_to(folder / "images")
    listing = list_images([folder / "images"], folder)
    assert [image.name for image in listing.images] == ["a.jpg", "b.jpg"]
    (remark,) = listing.remarks
    assert "back passed over: a link to a folder that it lies in" in remark


def test_links_that_lead_everywhere_are_an_error(tree):
    folder = tree(*(f"images/{i}/a.jpg" for i in range(12)))
    for i in range(12):
        for j in range(12):
            (folder / "images" / str(i) / f"to{j}").symlink_to(folder / "images" / str(j))
    with pytest.raises(ValueError, match="can be reached in more than 40 ways; remove links"):
        list_images([folder / "images"], folder)


def test_names_that_begin_with_a_dot_are_passed_over(tree):
    folder = tree("images/a.jpg", "images/._a.jpg", "images/.ipynb_checkpoints/a-checkpoint.jpg")
    assert found(folder, "images") == ["images/a.jpg"]


def test_a_dot_above_the_source_or_in_a_list_does_not_matter(tree):
    folder = tree(".cache/images/a.jpg", "images/.b.jpg")
    (folder / "list.txt").write_text("images/.b.jpg\n")
    assert found(folder, ".cache/images", "list.txt") == [".cache/images/a.jpg", "images/.b.jpg"]


def test_a_link_that_leads_nowhere_is_not_lost(tree):
    folder = tree("images/a.jpg")
    (folder / "images" / "gone.jpg").symlink_to("/nowhere/gone.jpg")
    assert found(folder, "images") == ["images/a.jpg", "images/gone.jpg"]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (("store/labels/a.txt",), "store/images/a.jpg"),  # where YOLOv5 looks
        (("set/labels/a.txt",), "set/images/a.jpg"),
        (("set/labels/a.txt", "store/labels/a.txt"), "set/images/a.jpg"),
        ((), "set/images/a.jpg"),
    ],
)
def test_a_linked_source_is_read_where_it_has_labels(tree, labels, expected):
    folder = tree("store/images/a.jpg", *labels)
    (folder / "set").mkdir(exist_ok=True)
    (folder / "set" / "images").symlink_to(folder / "store" / "images")
    listing = list_images([folder / "set" / "images"], folder)
    assert listing.images == [folder / expected]
    assert len(listing.remarks) == (len(labels) == 2)


def test_a_dataset_below_a_link_keeps_its_spelling(tree):
    folder = tree("store/images/a.jpg", "store/labels/a.txt")
    (folder / "set").symlink_to(folder / "store")
    listing = list_images([folder / "set" / "images"], folder)
    assert listing.images == [folder / "set" / "images" / "a.jpg"]
    assert listing.remarks == []


def test_a_list_with_mark_windows_line_ends_and_blanks_is_read(tree):
    folder = tree("images/a.jpg", "images/b c%20.jpg")
    text = "./images/a.jpg \r\n\r\n  ./images/b c%20.jpg\r\n"
    (folder / "list.txt").write_bytes(text.encode("utf-8-sig"))
    assert found(folder, "list.txt") == ["images/a.jpg", "images/b c%20.jpg"]


@pytest.mark.skipif(os.sep != "/", reason="on Windows a backslash separates folders")
def test_backslashes_in_a_list_are_told(tree):
    folder = tree("images/a.jpg", "images/odd\\name.jpg")
    (folder / "list.txt").write_text("images/odd\\name.jpg\n.\\images\\a.jpg\n")
    listing = list_images([folder / "list.txt"], folder)
    assert [image.name for image in listing.images] == ["odd\\name.jpg"]
    (refused,) = listing.refused
    assert refused.startswith(".\\images\\a.jpg skipped: no such file; paths are written with / here")


@pytest.mark.parametrize("line", ["x" * 100_000 + ".jpg", "im\0age.jpg"])
def test_lines_that_can_be_no_path_are_refused(tree, line):
    folder = tree("images/a.jpg")
    (folder / "list.txt").write_text(f"{line}\nimages/a.jpg\n")
    listing = list_images([folder / "list.txt"], folder)
    assert len(listing.images) == 1
    assert "expected a path, got a line of" in listing.refused[0]
    assert len(listing.refused[0]) < 300


def test_a_list_in_another_encoding_or_a_pipe_is_told(tree):
    folder = tree()
    (folder / "list.txt").write_text("./images/a.jpg\n", encoding="utf-16")
    os.mkfifo(folder / "pipe.txt")
    for name, kind in (("list.txt", "UTF-16"), ("pipe.txt", "a pipe")):
        with pytest.raises(ValueError, match=f"{name}, taken for a list of images: expected .* got {kind}"):
            list_images([folder / name], folder)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_names_of_folders_and_links_reach_no_terminal_as_they_are(tree):
    name = "a\x1b[2J\n\u202e"
    folder = tree(
        f"{name}/images/a.jpg", f"store{name}/images/b.jpg", f"store{name}/labels/b.txt", "list.txt"
    )
    (folder / name / "images" / name).symlink_to(folder / name)
    (folder / name / "labels").mkdir()
    (folder / name / "labels" / "b.txt").touch()
    (folder / name / "images.jpg").symlink_to(folder / f"store{name}" / "images")
    (folder / "list.txt").write_text("images\\\x1b[2J.jpg\n")
    (folder / "set").mkdir()
    (folder / "set" / "images").symlink_to(folder / f"store{name}" / "images")
    (folder / "set" / "labels").symlink_to(folder / name / "labels")
    listing = list_images([folder / name / "images", folder / "set" / "images", folder / "list.txt"], folder)
    assert (len(listing.remarks), len(listing.refused)) == (2, 1)
    assert all(text.isprintable() for text in (*listing.remarks, *listing.refused))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_the_name_of_a_source_reaches_no_terminal_as_it_is(tree, content):
    path = tree() / "a\x1b[2J\n\u202e.txt"
    if content:
        path.write_bytes(content)
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        list_images([path], path.parent)
    assert r"a\x1b[2J\n\u202e.txt" in str(caught.value)
    assert str(caught.value).isprintable()
