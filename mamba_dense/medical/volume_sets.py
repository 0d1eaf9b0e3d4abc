"""Where the volumes of published data sets lie as distributed: LiTS, ACDC, Synapse, MSD."""

from collections.abc import Callable, Mapping
from pathlib import Path

from mamba_dense.medical.layout import Case, scan_layout
from mamba_dense.medical.volume_convert import Source, bare, volumes_below

# number in the masks of the BTCV challenge -> class; the others become background
_SYNAPSE = {
    8: 'aorta',
    4: 'gallbladder',
    3: 'left kidney',
    2: 'right kidney',
    6: 'liver',
    11: 'pancreas',
    1: 'spleen',
    7: 'stomach',
}
_BTCV_CLASSES = 14
# the 12 cases that TransUNet's split (arXiv 2102.04306) keeps for testing
_SYNAPSE_VAL = (1, 2, 3, 4, 8, 22, 25, 29, 32, 35, 36, 38)


def find_lits(folder: Path) -> Source:
    """LiTS, liver tumours in CT (arXiv 1901.04056): volume-N.nii beside segmentation-N.nii.

    The parts of the archive may lie anywhere below `folder`; test-volume-N.nii are for testing.
    """
    masks = {bare(path): path for path in volumes_below(folder, 'segmentation-*')}
    train, problems = [], []
    for path in volumes_below(folder, 'volume-*'):
        number = bare(path).removeprefix('volume-')
        mask = masks.pop(f'segmentation-{number}', None)
        if mask is None:
            problems.append(f'{path}: segmentation-{number}.nii is missing')
        else:
            train.append(Case(f'liver_{number}', (path,), mask))
    problems += [f'{path}: its volume is missing' for path in masks.values()]
    test = [
        Case(f'test_{bare(path).removeprefix("test-volume-")}', (path,))
        for path in volumes_below(folder, 'test-volume-*')
    ]
    if not train and not problems:
        problems.append(f'{folder}: no volume-N.nii or volume-N.nii.gz below it')
    classes = ('background', 'liver', 'tumour')
    return Source(('CT',), classes, tuple(train), tuple(test), problems=tuple(problems))


def find_acdc(folder: Path) -> Source:
    """ACDC, the heart in cine MRI (Bernard et al., IEEE TMI 2018): patientXXX/ with two frames.

    Info.cfg names the frames of end diastole (ED) and end systole (ES); patients below a folder
    `testing` are for testing. Both frames of a patient train or validate together.
    """
    cases: dict[bool, list[Case]] = {False: [], True: []}
    patients, problems = {}, []
    for place in sorted(path for path in folder.rglob('patient*') if path.is_dir()):
        testing = 'testing' in place.relative_to(folder).parts or folder.name == 'testing'
        for frame in _acdc_frames(place, problems):
            name = f'{place.name}_frame{frame:02d}'
            image, mask = (
                next(
                    (p for e in ('.nii.gz', '.nii') if (p := place / f'{stem}{e}').is_file()), None
                )
                for stem in (name, f'{name}_gt')
            )
            if image is None or (mask is None and not testing):
                lacking = name if image is None else f'{name}_gt'
                problems.append(f'{place / lacking}.nii.gz: missing')
                continue
            cases[testing].append(Case(name, (image,), mask))
            patients[name] = place.name
    if not patients and not problems:
        problems.append(f'{folder}: no folder patientXXX below it')
    classes = ('background', 'right ventricle', 'myocardium', 'left ventricle')
    train, test = tuple(cases[False]), tuple(cases[True])
    return Source(('MRI',), classes, train, test, patients=patients, problems=tuple(problems))


def find_synapse(folder: Path) -> Source:
    """Synapse multi-organ CT (the BTCV challenge): imgNNNN.nii.gz beside labelNNNN.nii.gz.

    Eight of the thirteen organs are kept, numbered as by TransUNet; so is its split, of 18 cases
    to train and 12 to validate.
    """
    masks = {bare(path): path for path in volumes_below(folder, 'label[0-9]*')}
    train, test, problems = [], [], []
    for path in volumes_below(folder, 'img[0-9]*'):
        number = bare(path).removeprefix('img')
        mask = masks.pop(f'label{number}', None)
        if mask is not None:
            train.append(Case(f'case{number}', (path,), mask))
        elif any(part.lower() == 'testing' for part in path.relative_to(folder).parts):
            test.append(Case(f'case{number}', (path,)))
        else:
            problems.append(f'{path}: label{number}.nii.gz is missing')
    problems += [f'{path}: its image is missing' for path in masks.values()]
    if not train and not problems:
        problems.append(f'{folder}: no imgNNNN.nii.gz below it')
    order = {name: number for number, name in enumerate(_SYNAPSE.values(), 1)}
    renumber = dict.fromkeys(range(_BTCV_CLASSES), 0)
    renumber |= {number: order[name] for number, name in _SYNAPSE.items()}
    return Source(
        ('CT',),
        ('background', *order),
        tuple(train),
        tuple(test),
        renumber=renumber,
        val=tuple(f'case{number:04d}' for number in _SYNAPSE_VAL),
        problems=tuple(problems),
    )


def find_raw(folder: Path) -> Source:
    """nnU-Net's raw layout of either generation, such as MSD (arXiv 2106.05735).

    A file that holds all channels of a case, as in the brain tumours of MSD, is split.
    """
    layout, problems = scan_layout(folder, stacked=True)
    if layout is None:
        return Source((), (), (), problems=tuple(problems))
    return Source(
        layout.channels, layout.classes, layout.train, layout.test, problems=tuple(problems)
    )


FINDERS: Mapping[str, Callable[[Path], Source]] = {
    'lits': find_lits,
    'acdc': find_acdc,
    'synapse-volumes': find_synapse,
    'nnunet': find_raw,
}


def _acdc_frames(place: Path, problems: list[str]) -> list[int]:
    """The labelled frames of a patient, by its Info.cfg."""
    info = place / 'Info.cfg'
    if not info.is_file():
        problems.append(f'{info}: missing; it says which frames are labelled')
        return []
    entries = dict(line.split(':', 1) for line in info.read_text().splitlines() if ':' in line)
    numbers = [entries.get(key, '').strip() for key in ('ED', 'ES')]
    if not all(number.isdigit() for number in numbers):
        problems.append(f'{info}: ED={numbers[0]!r}, ES={numbers[1]!r} must be numbers of frames')
        return []
    return sorted({int(number) for number in numbers})
