"""The key map: renames, drops, reshapes, fresh keys, and what it refuses."""

import pytest
import torch

from mamba_dense.weights.keymap import JointKeys, KeyMap, KeyMismatchError, adapt_inputs


def _tensors(**shapes):
    return {name.replace('__', '.'): torch.randn(shape) for name, shape in shapes.items()}


def test_renames_apply_in_order():
    keymap = KeyMap(rename=((r'^old\.', 'mid.'), (r'^mid\.', 'new.')))
    assert keymap.name('old.weight') == 'new.weight'
    assert keymap.name('mid.bias') == 'new.bias'
    source = _tensors(old__weight=(2, 3))
    done = keymap.convert(source, _tensors(new__weight=(2, 3)))
    assert list(done) == ['new.weight']
    assert torch.equal(done['new.weight'], source['old.weight'])


def test_source_and_target_are_left_alone():
    source, target = _tensors(a=(2,), head=(3,)), _tensors(b=(2,))
    before = dict(source)
    KeyMap(rename=(('^a$', 'b'),), drop=('^head$',)).convert(source, target)
    assert source == before
    assert list(target) == ['b']


def test_both_sides_are_listed():
    with pytest.raises(KeyMismatchError) as caught:
        KeyMap(rename=(('^x$', 'y'),)).convert(_tensors(x=(1,), a=(2,)), _tensors(a=(2,), b=(2,)))
    assert caught.value.missing == ('b',)
    assert caught.value.unexpected == ('x (ours: y)',)
    assert '1 missing from the weights: b' in str(caught.value)
    assert '1 in the weights but unknown to the network: x (ours: y)' in str(caught.value)


def test_what_is_zero_where_a_file_lacks_it():
    keymap = KeyMap(zero=(r'^added\.',))
    target = _tensors(added__weight=(2, 3), own=(2,))
    plan = keymap.plan(_tensors(own=(2,)), target)
    assert plan.tensors['added.weight'].shape == (2, 3)
    assert not plan.tensors['added.weight'].any()
    assert plan.adapted == ('added.weight: not in the file, set to 0',)
    given = _tensors(added__weight=(2, 3), own=(2,))
    assert torch.equal(keymap.convert(given, target)['added.weight'], given['added.weight'])


def test_a_long_list_is_cut():
    source = {f'key{i}': torch.zeros(1) for i in range(20)}
    with pytest.raises(KeyMismatchError, match=r'key5, \.\.\. \(20 in all\)'):
        KeyMap().convert(source, {})


def test_another_shape_is_refused():
    with pytest.raises(KeyMismatchError, match=r'of another shape: a \[2, 3\], wanted \[3, 2\]'):
        KeyMap().convert(_tensors(a=(2, 3)), _tensors(a=(3, 2)))


@pytest.mark.parametrize(
    ('have', 'want'),
    [
        ((8, 3), (2, 4, 3)),
        ((8,), (2, 4)),
        ((5, 7, 1, 1), (5, 7)),
        ((5, 7), (5, 7, 1)),
        ((1, 1), ()),
    ],
)
def test_reshape_splits_and_merges_axes(have, want):
    tensor = torch.randn(have)
    done = KeyMap(reshape=('^a$',)).convert({'a': tensor}, {'a': torch.empty(want)})
    assert done['a'].shape == want
    assert torch.equal(done['a'].flatten(), tensor.flatten())


@pytest.mark.parametrize(('have', 'want'), [((2, 3), (3, 2)), ((4, 6), (3, 8)), ((4,), (5,))])
def test_reshape_never_mixes_axes(have, want):
    with pytest.raises(KeyMismatchError, match='of another shape'):
        KeyMap(reshape=('^a$',)).convert({'a': torch.randn(have)}, {'a': torch.empty(want)})


def test_fresh_keys_may_be_absent_on_either_side():
    keymap = KeyMap(fresh=(r'^norms\.',))
    target = _tensors(a=(1,), norms__0=(1,))
    done = keymap.plan(_tensors(a=(1,), norms__7=(1,)), target)
    assert done.fresh == ('norms.0',)
    assert done.dropped == ('norms.7',)
    assert list(done.tensors) == ['a']


def test_a_copy_feeds_a_second_target():
    keymap = KeyMap(copy=((r'^encoder\.', 'decoder.'),))
    source = _tensors(encoder__w=(2,))
    done = keymap.convert(source, _tensors(encoder__w=(2,), decoder__w=(2,)))
    assert torch.equal(done['decoder.w'], source['encoder.w'])
    # where the network has no such second part, nothing is copied
    assert list(keymap.convert(source, _tensors(encoder__w=(2,)))) == ['encoder.w']


def test_two_sources_for_one_target_are_refused():
    with pytest.raises(KeyMismatchError, match=r'given twice: a \(from a and b\)'):
        KeyMap(rename=(('^b$', 'a'),)).convert(_tensors(a=(1,), b=(1,)), _tensors(a=(1,)))


@pytest.mark.parametrize('channels', [1, 2, 3, 4, 6, 13])
def test_first_convolution_takes_any_number_of_channels(channels):
    kernel = torch.randn(4, 3, 5, 5)
    done = KeyMap(inputs=('^stem$',)).plan(
        {'stem': kernel}, {'stem': torch.empty(4, channels, 5, 5)}
    )
    assert done.tensors['stem'].shape == (4, channels, 5, 5)
    assert bool(done.adapted) == (channels != 3)
    if channels % 3 == 0 or channels == 1:  # a grey image on every channel is answered as before
        got = done.tensors['stem'].sum(dim=1)
        torch.testing.assert_close(got, kernel.sum(dim=1), rtol=1e-5, atol=1e-5)


def test_adaptation_is_timms():
    kernel = torch.arange(6.0).view(2, 3, 1, 1)
    assert torch.equal(adapt_inputs(kernel, 1).flatten(), torch.tensor([3.0, 12.0]))
    four = adapt_inputs(kernel, 4)
    torch.testing.assert_close(four[0].flatten(), torch.tensor([0.0, 1.0, 2.0, 0.0]) * 0.75)


def test_other_axes_of_a_first_convolution_must_agree():
    with pytest.raises(KeyMismatchError):
        KeyMap(inputs=('^w$',)).convert(_tensors(w=(4, 3, 5, 5)), _tensors(w=(4, 1, 3, 3)))


def test_joint_keys_split_a_file_between_parts():
    down = KeyMap(rename=((r'^enc\.', 'stem.'),), drop=(r'^dec\.', r'\.ops$'))
    up = KeyMap(rename=((r'^dec\.', ''),), drop=(r'^enc\.',), fresh=(r'^scale$',))
    keys = JointKeys((('backbone.', down), ('head.', up)))
    source = {'enc.w': torch.ones(2), 'dec.w': torch.zeros(3), 'enc.ops': torch.ones(1)}
    target = {
        'backbone.stem.w': torch.empty(2),
        'head.w': torch.empty(3),
        'head.scale': torch.empty(1),
    }
    plan = keys.plan(source, target)
    assert set(plan.tensors) == {'backbone.stem.w', 'head.w'}
    assert plan.dropped == ('enc.ops',)  # which no part took
    assert plan.fresh == ('head.scale',)
    assert (keys.name('enc.w'), keys.name('dec.w')) == ('backbone.stem.w', 'head.w')
    with pytest.raises(KeyMismatchError, match='unknown to the network: other'):
        keys.convert({**source, 'other': torch.ones(1)}, target)
    with pytest.raises(KeyMismatchError, match='missing from the weights: loss.weight'):
        keys.convert(source, {**target, 'loss.weight': torch.ones(1)})
