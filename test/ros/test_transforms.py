"""Frames are connected through whatever links are published."""

import numpy as np
import pytest
from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from hypothesis import given
from hypothesis import strategies as st
from std_msgs.msg import Header

from amg_fuse_ros.ros.transforms import TransformTree

STRAIGHT = (0.0, 0.0, 0.0, 1.0)
LEFT = (0.0, 0.0, np.sqrt(0.5), np.sqrt(0.5))
"""A quarter turn about z: x of the child is y of the parent."""


def link(parent, child, place=(0.0, 0.0, 0.0), turn=STRAIGHT):
    transform = Transform(
        translation=Vector3(**dict(zip("xyz", map(float, place), strict=True))),
        rotation=Quaternion(**dict(zip("xyzw", map(float, turn), strict=True))),
    )
    return TransformStamped(
        header=Header(frame_id=parent), child_frame_id=child, transform=transform
    )


def tree(*links):
    made = TransformTree()
    made.add(links)
    return made


def moved(matrix, *place):
    return (matrix @ [*place, 1.0])[:3]


def test_a_place_in_a_child_is_turned_and_moved_into_its_parent():
    to_parent = tree(link("base", "mast", (1, 2, 3), LEFT)).between("mast", "base")
    np.testing.assert_allclose(moved(to_parent, 10, 0, 0), (1, 12, 3), atol=1e-12)


def test_the_way_back_undoes_the_way_there():
    links = tree(link("base", "mast", (1, 2, 3), LEFT))
    there, back = links.between("mast", "base"), links.between("base", "mast")
    np.testing.assert_allclose(there @ back, np.eye(4), atol=1e-12)


def test_siblings_are_connected_through_the_nearest_frame_above_both():
    links = tree(
        link("map", "base", (100, 0, 0)),
        link("base", "rgb", (0, 1, 0)),
        link("base", "mast", (0, 0, 2)),
        link("mast", "lwir", (0, -1, 0)),
    )
    np.testing.assert_allclose(moved(links.between("rgb", "lwir"), 0, 0, 0), (0, 2, -2), atol=1e-12)


def test_a_link_that_is_no_transform_does_not_matter_above_the_frame_that_both_hang_below():
    links = tree(
        link("map", "base", (np.nan, 0, 0)),
        link("base", "rgb", (0, 1, 0)),
        link("base", "lwir", (0, 3, 0)),
    )
    np.testing.assert_allclose(moved(links.between("rgb", "lwir"), 0, 0, 0), (0, -2, 0))
    with pytest.raises(LookupError, match="between 'map' and 'base'"):
        links.between("map", "lwir")


def test_the_newest_transform_of_a_link_holds_and_a_frame_may_get_another_parent():
    links = tree(link("base", "lwir", (1, 0, 0)), link("base", "lwir", (2, 0, 0)))
    assert moved(links.between("lwir", "base"), 0, 0, 0)[0] == 2
    links.add([link("mast", "lwir", (3, 0, 0)), link("base", "mast", (4, 0, 0))])
    assert moved(links.between("lwir", "base"), 0, 0, 0)[0] == 7


def test_a_frame_is_where_itself_is():
    np.testing.assert_array_equal(TransformTree().between("lwir", "lwir"), np.eye(4))


def test_slashes_in_front_of_old_drivers_frames_do_not_count():
    assert moved(tree(link("/base", "/lwir", (1, 0, 0))).between("lwir", "base"), 0, 0, 0)[0] == 1


def test_a_quaternion_need_not_have_the_length_1():
    twice = tree(link("base", "mast", turn=np.multiply(LEFT, 2))).between("mast", "base")
    np.testing.assert_allclose(twice, tree(link("base", "mast", turn=LEFT)).between("mast", "base"))


@pytest.mark.parametrize(
    ("links", "told"),
    [
        ([], "of 'rgb' there is none, of 'lwir' there is none"),
        ([link("base", "rgb")], "'rgb' hangs below 'base', of 'lwir' there is none"),
        (
            [link("base", "rgb"), link("mast", "pole"), link("pole", "lwir")],
            "'rgb' hangs below 'base', 'lwir' hangs below 'mast'",
        ),
        ([link("rgb", "base"), link("a", "lwir")], "'rgb' hangs below nothing, 'lwir' hangs"),
        ([link("a", "lwir"), link("b", "a"), link("lwir", "b")], "no transforms connect"),
        (
            [link("base", "rgb"), link("base", "lwir", turn=(0, 0, 0, 0))],
            "between 'base' and 'lwir' has no rotation",
        ),
        (
            [link("base", "rgb"), link("base", "lwir", (np.nan, 0, 0))],
            "values that are no numbers",
        ),
    ],
)
def test_where_frames_are_not_connected_it_is_said_how_far_they_reach(links, told):
    with pytest.raises(LookupError) as raised:
        tree(*links).between("rgb", "lwir")
    assert told in str(raised.value)


@given(st.tuples(*[st.floats()] * 3), st.tuples(*[st.floats()] * 4))
def test_any_numbers_give_a_transform_or_are_refused(place, turn):
    links = tree(link("base", "rgb", place, turn), link("base", "lwir", place, turn))
    try:
        between = links.between("rgb", "lwir")
    except LookupError:
        return
    np.testing.assert_allclose(between[:3, :3], np.eye(3), atol=1e-9)
    if np.abs(place).max() < 1e6:
        np.testing.assert_allclose(between[:3, 3], 0, atol=1e-6)


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from("abcde")), max_size=12))
def test_any_links_give_a_rigid_transform_or_are_refused(pairs):
    links = tree(*(link(p, c, (1, 2, 3), LEFT) for p, c in pairs))
    try:
        between = links.between("a", "b")
    except LookupError:
        return
    np.testing.assert_allclose(between[:3, :3] @ between[:3, :3].T, np.eye(3), atol=1e-9)
