"""Reading pictures: every kind gives the right pixels, or an error that names file and value."""

import cv2
import numpy as np
import pytest
from PIL import Image

from mamba_dense.apis.images import (
    ImageError,
    check_image,
    find_images,
    read_image,
    to_bytes,
    write_png,
)


def picture(*shape, dtype=np.uint8):
    top = 65535 if dtype == np.uint16 else 255
    return np.random.default_rng(0).integers(0, top, shape, endpoint=True).astype(dtype)


def load(path, channels=3, value_range=None):
    image = read_image(path, channels)
    return to_bytes(image, channels, check_image(image, value_range, str(path)), str(path))


class TestKinds:
    def test_colour_is_red_green_blue(self, tmp_path):
        image = picture(5, 7, 3)
        Image.fromarray(image).save(tmp_path / 'a.png')
        assert np.array_equal(load(tmp_path / 'a.png'), image)

    def test_grey_becomes_three_equal_channels(self, tmp_path):
        image = picture(5, 7)
        Image.fromarray(image).save(tmp_path / 'a.png')
        assert np.array_equal(load(tmp_path / 'a.png'), np.stack([image] * 3, axis=2))

    def test_transparency_is_dropped(self, tmp_path):
        image = picture(5, 7, 4)
        Image.fromarray(image).save(tmp_path / 'a.png')
        assert np.array_equal(load(tmp_path / 'a.png'), image[:, :, :3])

    def test_four_channels_for_a_network_of_four(self, tmp_path):
        image = picture(5, 7, 4)
        Image.fromarray(image).save(tmp_path / 'a.png')
        assert np.array_equal(load(tmp_path / 'a.png', 4), image)

    def test_palette(self, tmp_path):
        Image.fromarray(picture(5, 7, 3)).quantize(8).save(tmp_path / 'a.png')
        want = np.asarray(Image.open(tmp_path / 'a.png').convert('RGB'))
        assert np.array_equal(load(tmp_path / 'a.png'), want)

    @pytest.mark.parametrize('shape', [(5, 7), (5, 7, 3)], ids=['grey', 'colour'])
    def test_16_bits_are_scaled_by_their_whole_range(self, tmp_path, shape):
        image = picture(*shape, dtype=np.uint16)
        image.flat[0] = 65535
        write_png(tmp_path / 'a.png', image)
        want = np.rint(image / 257.0).astype(np.uint8)
        want = want if want.ndim == 3 else np.stack([want] * 3, axis=2)
        assert np.array_equal(load(tmp_path / 'a.png'), want)

    def test_12_bits_need_a_range(self, tmp_path):
        image = np.full((4, 4), 4095, np.uint16)
        write_png(tmp_path / 'a.png', image)
        with pytest.raises(ImageError, match=r'a\.png.*largest value is 4095.*value_range'):
            load(tmp_path / 'a.png')
        assert (load(tmp_path / 'a.png', value_range=(0, 4095)) == 255).all()

    def test_floats_need_a_range(self, tmp_path):
        np.save(tmp_path / 'a.npy', np.full((4, 4), 0.5, np.float32))
        with pytest.raises(ImageError, match=r'float32.*uint8 and uint16'):
            load(tmp_path / 'a.npy')
        assert (load(tmp_path / 'a.npy', value_range=(0, 1)) == 128).all()

    def test_exif_orientation(self, tmp_path):
        image = Image.fromarray(picture(16, 32, 3))
        exif = image.getexif()
        exif[0x112] = 6
        image.save(tmp_path / 'a.jpg', exif=exif)
        assert load(tmp_path / 'a.jpg').shape == (32, 16, 3)

    def test_colour_for_a_network_of_one_channel(self):
        image = np.full((3, 4, 3), (255, 0, 0), np.uint8)
        assert (to_bytes(image, 1, (0.0, 255.0)) == 76).all()


class TestRefusals:
    @pytest.mark.parametrize(
        ('content', 'name', 'words'),
        [
            (b'', 'a.png', 'empty .0 bytes.'),
            (b'no picture', 'a.png', 'cannot be decoded'),
            (b'no picture', 'a.jpg', 'cannot be decoded'),
            (b'no array', 'a.npy', 'cannot be read as a numpy array'),
        ],
    )
    def test_no_image(self, tmp_path, content, name, words):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ImageError, match=rf'{name}: .*{words}'):
            read_image(tmp_path / name)

    @pytest.mark.parametrize('suffix', ['.jpg', '.png'])
    def test_cut_off(self, tmp_path, suffix):
        data = cv2.imencode(suffix, picture(90, 90, 3))[1].tobytes()
        (tmp_path / f'a{suffix}').write_bytes(data[: len(data) // 2])
        with pytest.raises(ImageError, match=f'a{suffix}'):
            read_image(tmp_path / f'a{suffix}')

    def test_pages(self, tmp_path):
        page = Image.fromarray(picture(5, 7))
        page.save(tmp_path / 'a.tif', save_all=True, append_images=[page])
        with pytest.raises(ImageError, match='2 pages'):
            read_image(tmp_path / 'a.tif')

    @pytest.mark.parametrize('shape', [(0, 4), (4, 0, 3), (4,), (1, 4, 4, 3)])
    def test_shape(self, shape):
        with pytest.raises(ImageError, match=r'has shape'):
            check_image(np.zeros(shape, np.uint8))

    def test_not_finite(self):
        with pytest.raises(ImageError, match='not finite'):
            check_image(np.array([[np.nan]]), (0, 1))

    @pytest.mark.parametrize('limits', [(1, 1), (2, 1), (0, np.inf)])
    def test_range(self, limits):
        with pytest.raises(ImageError, match='two rising numbers'):
            check_image(picture(2, 2), limits)

    @pytest.mark.parametrize(('have', 'need'), [(2, 3), (5, 3), (3, 4), (1, 5)])
    def test_channels(self, have, need):
        with pytest.raises(ImageError, match=f'has {have} channels, the network takes {need}'):
            to_bytes(picture(2, 2, have), need, (0.0, 255.0))


class TestFolders:
    def test_sorted_with_subfolders_without_results(self, tmp_path):
        for name in ('b.png', 'a.JPG', 'sub/c.tif', 'out/masks/d.png', 'notes.txt'):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        found = find_images(tmp_path, leave_out=tmp_path / 'out')
        assert [p.relative_to(tmp_path).as_posix() for p in found] == [
            'a.JPG',
            'b.png',
            'sub/c.tif',
        ]

    def test_none(self, tmp_path):
        with pytest.raises(ImageError, match='no image in this folder'):
            find_images(tmp_path)
        with pytest.raises(ImageError, match='no such file or folder'):
            find_images(tmp_path / 'absent')
