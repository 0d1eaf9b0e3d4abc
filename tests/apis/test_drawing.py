"""Overlays: black classes leave the picture alone, others tint it and draw its border."""

import numpy as np
import pytest

from mamba_dense.apis.drawing import class_colours, error_map, overlay, stretch


def test_overlay():
    image = np.full((5, 5, 3), 100, np.uint8)
    mask = np.zeros((5, 5), np.uint8)
    mask[1:4, 1:4] = 1
    drawn = overlay(image, mask, np.array([[0, 0, 0], [200, 0, 0]], np.uint8), opacity=0.5)
    assert (drawn[mask == 0] == 100).all()
    assert drawn[2, 2].tolist() == [150, 50, 50]
    assert drawn[1, 1].tolist() == [200, 0, 0]


def test_refusals():
    image, colours = np.zeros((4, 4, 3), np.uint8), class_colours(2)
    with pytest.raises(ValueError, match='sizes must agree'):
        overlay(image, np.zeros((4, 5), int), colours)
    with pytest.raises(ValueError, match='opacity=2'):
        overlay(image, np.zeros((4, 4), int), colours, opacity=2)


def test_a_class_without_colour_is_left_alone():
    image = np.full((2, 2, 3), 9, np.uint8)
    assert (overlay(image, np.full((2, 2), 7), class_colours(2)) == image).all()


def test_colours_differ():
    colours = class_colours(150)
    assert colours.shape == (150, 3)
    assert len({tuple(colour) for colour in colours}) == 150
    assert class_colours(2, [(1, 2, 3), (4, 5, 6)]).tolist() == [[1, 2, 3], [4, 5, 6]]


def test_error_map_and_stretch():
    image = np.arange(12, dtype=np.uint8).reshape(3, 4, 1)
    mask, truth = np.eye(3, 4), np.ones((3, 4))
    drawn = error_map(image, mask, truth)
    assert drawn.shape == (3, 4, 3)
    assert drawn[0, 0].argmax() == 1 and drawn[0, 1].argmax() == 2
    bright = stretch(image)
    assert bright.min() == 0 and bright.max() == 255
    assert (stretch(np.zeros((2, 2, 1), np.uint8)) == 0).all()
