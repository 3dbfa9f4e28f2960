"""The annotated image shows every detection and changes nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amg_fuse_ros.detection import Detections, draw

NAMES = {0: "person", 2: "car"}


def detections(boxes, **more) -> Detections:
    count = len(boxes)
    return Detections(
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        scores=np.linspace(0.9, 0.5, count, dtype=np.float32),
        class_ids=np.array([0, 2] * count, np.int64)[:count],
        names=NAMES,
        **more,
    )


def test_no_detections_draw_nothing_and_the_image_stays_as_it_was():
    image = np.full((60, 80, 3), 50, np.uint8)
    drawn = draw(image, detections([]))
    np.testing.assert_array_equal(drawn, image)
    assert drawn is not image


def test_a_box_is_drawn_where_it_is_and_its_inside_left_alone():
    image = np.zeros((120, 160, 3), np.uint8)
    drawn = draw(image, detections([[40, 50, 100, 110]]))
    assert not image.any()
    for row, column in ((80, 40), (80, 100), (110, 70), (50, 95)):
        assert drawn[row, column].any()
    assert not drawn[60:105, 45:95].any()
    assert not drawn[:, 120:].any()


def test_classes_have_colours_of_their_own_and_tracks_too():
    image = np.zeros((120, 160, 3), np.uint8)
    boxes = [[10, 40, 60, 110], [80, 40, 150, 110]]
    drawn = draw(image, detections(boxes))
    assert drawn[80, 10].tolist() != drawn[80, 80].tolist()
    tracked = draw(image, detections(boxes, track_ids=np.array([7, 2], np.int64)))
    assert tracked[80, 10].tolist() != drawn[80, 10].tolist()


def test_masks_are_tinted():
    image = np.full((60, 80, 3), 100, np.uint8)
    masks = np.zeros((1, 60, 80), bool)
    masks[0, 30:50, 30:60] = True
    drawn = draw(image, detections([[20, 20, 70, 55]], masks=masks))
    assert (drawn[35:48, 35:55] != 100).any(axis=2).all()
    untinted = draw(image, detections([[20, 20, 70, 55]], masks=masks), mask_opacity=0)
    assert (untinted[35:48, 35:55] == 100).all()


@given(
    st.integers(1, 90),
    st.integers(1, 90),
    st.lists(st.tuples(*[st.floats(0, 90, width=32)] * 4), max_size=4),
)
def test_any_box_in_any_image_gives_an_image_of_the_same_size(height, width, boxes):
    image = np.zeros((height, width, 3), np.uint8)
    drawn = draw(image, detections(boxes))
    assert (drawn.shape, drawn.dtype) == (image.shape, np.uint8)


def test_arrays_that_do_not_fit_together_are_refused():
    with pytest.raises(ValueError, match=r"track_ids: expected 1, .* found 2"):
        detections([[0, 0, 4, 4]], track_ids=np.array([1, 2], np.int64))
    with pytest.raises(ValueError, match=r"no names for the classes \[5\]"):
        Detections(np.zeros((1, 4), np.float32), np.ones(1, np.float32), np.array([5]), NAMES)
