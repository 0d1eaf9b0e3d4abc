"""Reading and writing volumes: the geometry is kept, what cannot be used is named and refused."""

import gzip

import nibabel
import numpy as np
import pytest

pytest.importorskip('mmseg', reason='needs the extra medical')
pytest.importorskip('monai', reason='needs the extra medical')

from mamba_dense.medical.volume import VolumeError, read_image, read_labels, write_labels

AFFINE = np.array([[0, -2.0, 0, 9], [1.5, 0, 0, -4], [0, 0, 3, 1], [0, 0, 0, 1]])
SHAPE = (7, 6, 5)


def save(path, data, affine=AFFINE, *, codes=(1, 2), unit='mm', kind=nibabel.Nifti1Image):
    image = kind(np.asarray(data), affine)
    image.header.set_sform(affine, codes[0])
    image.header.set_qform(affine, codes[1])
    image.header.set_xyzt_units(unit)
    image.header['cal_max'] = 900
    nibabel.save(image, path)
    return path


@pytest.fixture
def values():
    return np.random.default_rng(0).normal(100, 20, SHAPE).astype(np.float32)


@pytest.fixture
def image(tmp_path, values):
    return save(tmp_path / 'case_0000.nii.gz', values)


def test_channels_are_stacked(tmp_path, image, values):
    other = save(tmp_path / 'case_0001.nii', (values > 100).astype(np.int16))
    volume = read_image([image, other])
    assert volume.data.dtype == np.float32 and volume.data.shape == (2, *SHAPE)
    assert np.array_equal(volume.data[0], values) and np.array_equal(volume.data[1], values > 100)
    assert np.array_equal(volume.affine, AFFINE) and volume.path == image
    assert volume.spacing == pytest.approx((1.5, 2.0, 3.0))


@pytest.mark.parametrize('unit, factor', [('unknown', 1), ('meter', 1000), ('micron', 0.001)])
def test_spacing_is_in_mm(tmp_path, values, unit, factor):
    volume = read_image(save(tmp_path / 'a.nii', values, unit=unit))
    assert volume.spacing == pytest.approx((1.5 * factor, 2 * factor, 3 * factor))


@pytest.mark.parametrize('shape', [(7, 6, 1), (7, 1, 5), (1, 6, 5), (7, 6), (7, 6, 5, 1)], ids=str)
def test_thin_volumes_are_served(tmp_path, shape):
    volume = read_image(save(tmp_path / 'a.nii.gz', np.ones(shape, np.int16)))
    assert volume.data.shape == (1, *(*shape, 1)[:3])
    out = write_labels(tmp_path / 'm.nii.gz', np.ones(volume.data.shape[1:], np.uint8), volume)
    assert np.array_equal(nibabel.load(out).affine, nibabel.load(tmp_path / 'a.nii.gz').affine)


def test_a_constant_image_is_served(tmp_path):
    assert read_image(save(tmp_path / 'a.nii', np.full(SHAPE, 7, np.uint8))).data.max() == 7


def test_scaled_integers(tmp_path, values):
    path = tmp_path / 'a.nii.gz'
    stored = nibabel.Nifti1Image(values, AFFINE)
    stored.set_data_dtype(np.int16)  # nibabel finds slope and intercept
    nibabel.save(stored, path)
    assert np.abs(read_image(path).data[0] - values).max() < 0.01


@pytest.mark.parametrize('size', [0, 100, 400, -4], ids=['empty', 'header', 'data', 'checksum'])
def test_truncated(image, size):
    image.write_bytes(image.read_bytes()[:size])
    with pytest.raises(VolumeError, match=r'case_0000.nii.gz: cannot be read .*truncated'):
        read_image(image)


def test_truncated_plain(tmp_path, values):
    path = save(tmp_path / 'a.nii', values)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(VolumeError, match=r'a.nii: cannot be read .*truncated'):
        read_image(path)


def test_damaged(tmp_path, image):
    data = bytearray(image.read_bytes())
    data[len(data) // 2] ^= 255
    image.write_bytes(bytes(data))
    with pytest.raises(VolumeError, match='cannot be read'):
        read_image(image)
    image.write_bytes(gzip.compress(b'no volume' * 100))
    with pytest.raises(VolumeError, match='cannot be read'):
        read_image(image)


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite(tmp_path, values, value):
    values[2, 3, 4] = values[5, 0, 0] = value
    path = save(tmp_path / 'a.nii.gz', values)
    with pytest.raises(VolumeError, match=r'a.nii.gz: 2 voxels are not finite.*\(2, 3, 4\)'):
        read_image(path)


def test_four_axes(tmp_path):
    path = save(tmp_path / 'a.nii.gz', np.ones((*SHAPE, 3), np.float32))
    with pytest.raises(VolumeError, match=r'has 4 axes, \(7, 6, 5, 3\); .*NAME_0000.nii.gz'):
        read_image(path)


def test_colours(tmp_path):
    rgb = np.zeros(SHAPE, [('R', 'u1'), ('G', 'u1'), ('B', 'u1')])
    with pytest.raises(VolumeError, match='real numbers'):
        read_image(save(tmp_path / 'a.nii.gz', rgb))


def test_channels_that_do_not_fit(tmp_path, image, values):
    shorter = save(tmp_path / 'b.nii.gz', values[1:])
    moved = AFFINE.copy()
    moved[0, 3] += 0.1
    with pytest.raises(VolumeError, match=r'b.nii.gz: has the shape \(6, 6, 5\).*case_0000'):
        read_image([image, shorter])
    with pytest.raises(VolumeError, match=r'c.nii.gz: its affine .* 0.1 away'):
        read_image([image, save(tmp_path / 'c.nii.gz', values, moved)])


def test_what_is_no_volume(tmp_path):
    with pytest.raises(VolumeError, match='a.png: is not a volume by its name; allowed is .nii.gz'):
        read_image(tmp_path / 'a.png')
    with pytest.raises(VolumeError, match='a.nii: no such file'):
        read_image(tmp_path / 'a.nii')
    with pytest.raises(VolumeError, match='paths is empty'):
        read_image([])
    with pytest.raises(VolumeError, match='no voxel'):
        read_image(save(tmp_path / 'a.nii', np.zeros((7, 0, 5), np.uint8)))


class TestLabels:
    def test_round_trip(self, tmp_path, image):
        volume = read_image(image)
        labels = np.random.default_rng(1).integers(0, 4, SHAPE).astype(np.uint8)
        for name in ('m.nii.gz', 'm.nii'):
            path = write_labels(tmp_path / 'out' / name, labels, volume)
            assert np.array_equal(read_labels(path, like=volume, num_classes=4), labels)
        header = nibabel.load(path).header
        assert np.array_equal(nibabel.load(path).affine, AFFINE)
        assert (header['sform_code'], header['qform_code']) == (1, 2)
        assert header.get_data_dtype() == np.uint8 and header['cal_max'] == 0
        assert header.get_xyzt_units()[0] == 'mm'

    def test_second_format_and_no_header(self, tmp_path, values):
        volume = read_image(save(tmp_path / 'a.nii', values, kind=nibabel.Nifti2Image))
        written = nibabel.load(write_labels(tmp_path / 'm.nii', values > 1, volume))
        assert isinstance(written, nibabel.Nifti2Image)
        assert written.header['qform_code'] == 2 and np.array_equal(written.affine, AFFINE)
        bare = type(volume)(volume.data, AFFINE, volume.path)
        written = nibabel.load(write_labels(tmp_path / 'm.nii', values > 1, bare))
        assert np.array_equal(written.affine, AFFINE)

    def test_missing(self, tmp_path, image):
        with pytest.raises(VolumeError, match=r'm.nii.gz: no such file; the mask of .*case_0000'):
            read_labels(tmp_path / 'm.nii.gz', like=read_image(image))

    def test_another_grid(self, tmp_path, image):
        labels = np.zeros(SHAPE, np.uint8)
        flat = save(tmp_path / 'a.nii', labels[:, :, :1])
        with pytest.raises(VolumeError, match=r'a.nii: has the shape \(7, 6, 1\).*Resample'):
            read_labels(flat, like=read_image(image))
        lost = save(tmp_path / 'b.nii', labels, np.eye(4))
        with pytest.raises(VolumeError, match=r'b.nii: its affine .*copy the affine'):
            read_labels(lost, like=read_image(image))
        near = save(tmp_path / 'c.nii', labels, AFFINE * (1 + 1e-7))
        assert read_labels(near, like=read_image(image)).shape == SHAPE

    @pytest.mark.parametrize(
        'value, dtype, message',
        [
            (3, np.uint8, r'label 3 in 2 voxels; allowed is 0 to 2'),
            (-1, np.int16, r'label -1 in 2 voxels; allowed is 0 to 2'),
            (1.5, np.float32, r'label 1.5 .*not a whole number'),
            (np.nan, np.float32, r'2 voxels are not finite'),
        ],
    )
    def test_values(self, tmp_path, image, value, dtype, message):
        labels = np.zeros(SHAPE, dtype)
        labels[1, 1, 1] = labels[2, 2, 2] = value
        path = save(tmp_path / 'm.nii.gz', labels)
        with pytest.raises(VolumeError, match=message):
            read_labels(path, like=read_image(image), num_classes=3)

    def test_whole_numbers_stored_as_fractions(self, tmp_path, image):
        path = save(tmp_path / 'm.nii.gz', np.full(SHAPE, 2, np.float64))
        assert (read_labels(path, like=read_image(image), num_classes=3) == 2).all()

    def test_refused_to_write(self, tmp_path, image):
        volume = read_image(image)
        with pytest.raises(ValueError, match='allowed endings'):
            write_labels(tmp_path / 'm.png', np.zeros(SHAPE, np.uint8), volume)
        with pytest.raises(ValueError, match='they must agree'):
            write_labels(tmp_path / 'm.nii', np.zeros((1, 6, 5), np.uint8), volume)
        with pytest.raises(ValueError, match='whole numbers'):
            write_labels(tmp_path / 'm.nii', np.zeros(SHAPE), volume)
