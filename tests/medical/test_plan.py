"""The planner: nnU-Net's rules on known examples, memory kept, configs that load and build."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from mmengine.config import Config

pytest.importorskip('mmseg', reason='needs the extra medical')
pytest.importorskip('monai', reason='needs the extra medical')

from mamba_dense.engine.files import DataError
from mamba_dense.medical.fingerprint import describe, read_fingerprint
from mamba_dense.medical.guard import guard
from mamba_dense.medical.layout import read_layout
from mamba_dense.medical.plan import describe_plan, make_plan
from mamba_dense.medical.plan_config import write_config, written
from mamba_dense.medical.plan_networks import NETWORKS
from mamba_dense.medical.topology import (
    axis_order,
    even_topology,
    first_patch,
    target_spacing,
    topology,
)
from mamba_dense.registry import DATASETS, MODELS

from ..tools.training import ROOT, outside
from .volumes import raw_folder, spoil

SMALL = 0.16  # GB: little more than what every process takes


@pytest.fixture(scope='module')
def layout(tmp_path_factory):
    root = tmp_path_factory.mktemp('raw')
    return read_layout(raw_folder(root, cases=3, shape=(20, 40, 36), spacing=(3, 1, 1)))


@pytest.fixture(scope='module')
def found(layout):
    return read_fingerprint(layout)


class TestRules:
    def test_the_published_plan_of_abdomen_mr(self):
        """xLSTM-UNet's 3-D plan (arXiv 2407.01530): patch 48x160x224, six stages."""
        shape = topology((3.0, 1.2, 1.2), (48, 160, 224))
        assert shape.patch == (48, 160, 224)
        assert shape.strides == (
            (1, 1, 1),
            (1, 2, 2),
            *[(2, 2, 2)] * 3,
            (1, 2, 2),
        )
        assert shape.kernels == ((1, 3, 3), *[(3, 3, 3)] * 5)
        assert shape.divisors == (8, 32, 32)

    @pytest.mark.parametrize(('sides', 'stages'), [((320, 320), 7), ((512, 512), 8)])
    def test_the_published_depths_in_2d(self, sides, stages):
        assert len(topology((1.0, 1.0), sides).strides) == stages

    def test_sides_are_padded(self):
        assert topology((1, 1, 1), (41, 33, 17)).patch == (48, 40, 20)
        assert even_topology((41, 33, 17), 3).patch == (48, 40, 24)

    @pytest.mark.parametrize(('side', 'stages'), [(11, 1), (12, 2)])
    def test_an_axis_alone_needs_twelve(self, side, stages):
        assert len(topology((1, 1), (side, 4)).strides) == stages

    def test_spacing_is_the_median(self):
        rows = [(1, 1, 2), (1, 1, 2.5), (1, 1, 6)]
        assert target_spacing(rows, [(90, 90, 40)] * 3) == (1, 1, 2.5)

    def test_spacing_of_thick_slices_is_a_rare_one(self):
        rows = [(1, 1, mm) for mm in range(4, 15)]
        assert target_spacing(rows, [(90, 90, 20)] * 11) == (1, 1, 5)
        # as many voxels as the others: nothing is special
        assert target_spacing(rows, [(90, 90, 80)] * 11) == (1, 1, 9)
        # not below the others
        rows = [(2, 2, mm) for mm in (1, 7, 7, 7, 7)]
        assert target_spacing(rows, [(90, 90, 20)] * 5) == pytest.approx((2, 2, 3.4))
        rows = [(2, 2, mm) for mm in (1, 1, 7, 7, 7)]
        assert target_spacing(rows, [(90, 90, 20)] * 5) == (2, 2, 2)

    def test_axes(self):
        assert axis_order((1, 1, 3)) == (2, 0, 1)
        assert axis_order((1, 1, 1)) == (0, 1, 2)

    def test_first_patch(self):
        assert first_patch((1, 1, 1), (500, 500, 500)) == (256, 256, 256)
        assert first_patch((1, 1), (5000, 100)) == (2048, 100)
        thick = first_patch((4, 1, 1), (500, 500, 500))
        assert thick == (102, 406, 406)


class TestFingerprint:
    def test_reads_what_is_there(self, found):
        # raw_folder's outermost planes of the last axis are zero
        assert found.shapes == ((20, 40, 34),) * 3
        assert found.spacings == ((3.0, 1.0, 1.0),) * 3
        assert found.voxels == (3 * 6 * 40 * 36, 3 * 7 * 40 * 36, 3 * 7 * 40 * 36)
        assert found.cases == (3, 3, 3)
        assert found.kept == pytest.approx(34 / 36)
        (values,) = found.intensities
        # classes 1 and 2 at 150 and 250, of whose planes two in 36 are zero
        assert values.mean == pytest.approx(200 * 34 / 36, rel=0.01)
        assert values.low == 0
        assert values.high == pytest.approx(262, abs=4)

    def test_report(self, found):
        text = '\n'.join(describe(found))
        assert 'size of that box 20 x 40 x 34, 20 x 40 x 34, 20 x 40 x 34 voxels' in text
        assert 'class 1 (x): 35 % of the voxels, in 3 cases' in text

    def test_bad_cases_are_all_named(self, tmp_path):
        expected = spoil(raw_folder(tmp_path, cases=6))
        with pytest.raises(DataError):
            read_layout(tmp_path)
        (tmp_path / 'imagesTr' / 'a_0000.nii.gz').unlink()
        with pytest.raises(DataError) as caught:
            read_fingerprint(read_layout(tmp_path))
        assert len(caught.value.problems) == len(expected) - 1


class TestPlan:
    @pytest.mark.parametrize('network', NETWORKS)
    @pytest.mark.parametrize('dims', [2, 3])
    def test_config_loads_builds_and_passes_the_guard(self, tmp_path, found, network, dims):
        plan = make_plan(found, network=network, memory=1, dims=dims, width=8)
        assert plan.memory <= 1e9
        assert plan.preparation['axes'] == [0, 1, 2]
        assert plan.preparation['spacing'][0] == (None if dims == 2 else 3.0)
        for name, iterations in (('short.py', 7), ('long.py', None)):
            path = tmp_path / name
            write_config(path, found.layout, plan, network=network, width=8, iterations=iterations)
            cfg = Config.fromfile(path)
            assert cfg.train_cfg.get('max_iters') == iterations
            assert cfg.log_processor.by_epoch == (iterations is None)
            assert cfg.model.patch_size == list(plan.topology.patch)
            guard(cfg)
        model = MODELS.build(cfg.model)
        sample = DATASETS.build({**cfg.train_dataloader.dataset, 'cache': None})[0]
        image, label = sample['image'][None], sample['label'][None]
        assert model(image, label, mode='loss')['loss_nnunet'].isfinite()

    def test_less_memory_gives_a_smaller_patch(self, found):
        whole, less = (
            make_plan(found, network='monai', memory=memory, width=8) for memory in (1, SMALL)
        )
        assert whole.topology.patch == (20, 40, 40)
        assert np.prod(less.topology.patch) < np.prod(whole.topology.patch)
        assert less.memory <= SMALL * 1e9

    def test_batch_holds_little_of_the_data(self, found):
        many = replace(
            found, names=found.names * 60, shapes=found.shapes * 60, spacings=found.spacings * 60
        )
        small, large = (
            make_plan(data, network='monai', memory=2, dims=2, width=8).batch
            for data in (found, many)
        )
        assert 2 <= small < large
        assert small <= 0.05 * 3 * 20 + 1  # of its slices

    def test_thick_axis_comes_first(self, tmp_path):
        root = raw_folder(tmp_path, cases=2, shape=(36, 40, 12), spacing=(1, 1, 4))
        plan = make_plan(read_fingerprint(read_layout(root)), network='monai', memory=1, width=8)
        assert plan.preparation['axes'] == [2, 0, 1]
        assert plan.preparation['spacing'] == [4.0, 1.0, 1.0]
        assert plan.median == (10, 36, 40)
        assert plan.topology.kernels[0] == (1, 3, 3)
        assert 'axes ZXY, spacing 4 x 1 x 1 mm' in '\n'.join(describe_plan(plan))

    def test_channels_by_name(self, tmp_path):
        root = raw_folder(tmp_path, channels=('CT', 'T1', 'noNorm', 'rgb_to_0_1'))
        found = read_fingerprint(read_layout(root))
        plan = make_plan(found, network='monai', memory=1, width=8)
        first, *others = plan.preparation['channels']
        assert first['kind'] == 'ct'
        assert first['mean'] == pytest.approx(found.intensities[0].mean, rel=1e-4)
        assert others == [{'kind': 'zscore'}, {'kind': 'none'}, {'kind': 'rgb'}]
        assert plan.model['backbone']['in_channels'] == 4
        alike = make_plan(found, network='monai', memory=1, width=8, calibrated=True)
        assert [row['kind'] for row in alike.preparation['channels']] == ['ct'] * 4

    @pytest.mark.parametrize(
        ('options', 'message'),
        [
            ({'network': 'unet'}, 'known: lightm, xlstm_bot, xlstm_enc, monai'),
            ({'dims': 4}, 'dims=4 must be 2'),
            ({'width': 12}, 'width=12 must be a multiple of 8 for lightm'),
            ({'memory': 0}, 'memory=0 must be'),
            ({'memory': 0.101}, r'memory=0.101 GB is too little: 2 patches of 8 x 8 x 8 take'),
        ],
    )
    def test_refusals(self, found, options, message):
        with pytest.raises(ValueError, match=message):
            make_plan(found, **{'memory': 1, **options})


def test_config_text():
    assert written({'a': [1, None], 'b': 'x'}) == "dict(a=[1, None], b='x')"
    long = written({'rows': [[n] * 9 for n in range(4)]})
    assert eval(long) == {'rows': [[n] * 9 for n in range(4)]}
    assert max(map(len, long.splitlines())) <= 100


def test_tool(tmp_path, layout):
    def plan(*arguments):
        command = [sys.executable, str(ROOT / 'tools' / 'plan.py'), *map(str, arguments)]
        return subprocess.run(command, env=outside(), capture_output=True, text=True, timeout=90)

    options = ('--network', 'monai', '--width', 8, '--memory', 0.5, '--iterations', 3)
    done = plan(layout.root, '--out', tmp_path / 'mine.py', *options)
    assert done.returncode == 0, done.stderr
    assert 'class 2 (y): 35 % of the voxels' in done.stdout
    assert f'tools/train.py {tmp_path / "mine.py"}' in done.stdout
    again = plan(layout.root, '--out', tmp_path / 'mine.py', *options)
    assert again.returncode == 1
    assert again.stderr.strip().endswith('choose another name or delete it')
    assert 'Traceback' not in again.stderr
