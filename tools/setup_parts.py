"""What set-up is made of: checks of the machine, quiet commands, the wheel of the mmcv ops.

Runs on the system's Python with the standard library alone, like setup.py, which puts it together.
"""

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BEAT = 30.0  # seconds between two signs of life


class SetupError(Exception):
    """One line: the cause and the way out."""


def say(text):
    print(text, flush=True)


def spell(seconds):
    """Seconds as a person says them."""
    if seconds < 90:
        return f'{seconds:.0f} s'
    return f'{seconds // 60:.0f} min {seconds % 60:.0f} s'


def digest(*parts):
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


# -- what the machine must have --


def check_python(version=None):
    major, minor = (version or sys.version_info)[:2]
    if (major, minor) < (3, 10):
        raise SetupError(
            f'Python {major}.{minor} is too old: install Python 3.10 or newer and run '
            'make setup PYTHON=python3.11 (or what it is called there)'
        )
    missing = [name for name in ('venv', 'ensurepip') if importlib.util.find_spec(name) is None]
    if missing:
        raise SetupError(
            f"this Python lacks '{missing[0]}': install it (Debian, Ubuntu: "
            f'apt-get install python{major}.{minor}-venv)'
        )


def check_compiler():
    """A C++ compiler and Python's headers, which the mmcv ops need."""
    named = os.environ.get('CXX')
    if named and shutil.which(named.split()[0]) is None:
        raise SetupError(f"CXX names '{named}', which is not there: unset it or install that one")
    if not named and not any(shutil.which(name) for name in ('c++', 'g++', 'clang++')):
        raise SetupError(
            'no C++ compiler: install one (Debian, Ubuntu: apt-get install g++; macOS: '
            'xcode-select --install) or name one in CXX'
        )
    header = Path(sysconfig.get_paths()['include']) / 'Python.h'
    if not header.is_file():
        version = '{}.{}'.format(*sys.version_info[:2])
        raise SetupError(
            f'{header} is missing: install the headers of Python (Debian, Ubuntu: '
            f'apt-get install python{version}-dev)'
        )


# -- running commands --


def progress(log, started):
    """What the log says of a build by ninja: files done and an estimate of the rest."""
    counts = re.findall(rb'^ *\[(\d+)/(\d+)\]', log.read_bytes()[started:], flags=re.MULTILINE)
    return (int(counts[-1][0]), int(counts[-1][1])) if counts else None


def run(command, log, env=None):
    """Run quietly into the log, with a sign of life; a failure shows the log's last lines."""
    start, beat = time.monotonic(), time.monotonic()
    with log.open('ab') as stream:
        stream.write(('\n$ ' + ' '.join(map(str, command)) + '\n').encode())
        stream.flush()
        offset = stream.tell()
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=str(ROOT),
            env=dict(os.environ, **(env or {})),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
        try:
            while process.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=1)
                if time.monotonic() - beat >= BEAT:
                    beat = time.monotonic()
                    say('      ' + status(beat - start, progress(log, offset)))
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    if process.returncode:
        tail = log.read_bytes()[offset:].decode(errors='replace').splitlines()[-25:]
        say('\n'.join('      | ' + line for line in tail))
        raise SetupError(
            f"'{Path(command[0]).name} {' '.join(map(str, command[1:4]))} ...' failed with status "
            f'{process.returncode}: the lines above say why (all of it: {log}); mend that and '
            'run make setup again: it goes on from here'
        )


def status(elapsed, counts):
    if counts is None or not counts[0]:
        return f'... {spell(elapsed)} so far'
    done, total = counts
    left = elapsed / done * (total - done)
    return f'... file {done} of {total}, {spell(elapsed)} so far, about {spell(left)} left'


@contextlib.contextmanager
def locked(path):
    """One set-up at a time in this place; another waits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open('w') as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say(f'      waiting for another set-up that holds {path}')
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


# -- the mmcv ops --


def wheel_root():
    cache = os.environ.get('MAMBA_DENSE_CACHE') or '~/.cache/mamba_dense'
    return Path(cache).expanduser() / 'wheels'


def wheel_folder(facts):
    """The place of the compiled ops in the user's cache, and the environment they are built in."""
    wanted = facts['device'] or os.environ.get('FORCE_CUDA') == '1'
    cuda = bool(facts['cuda'] and wanted and facts['nvcc'])
    if facts['cuda'] and wanted and not cuda:
        say(
            f'      no nvcc: the mmcv ops are built for the CPU alone; install the toolkit of CUDA '
            f'{facts["cuda"]}, set CUDA_HOME and run make clean setup to have them on the GPU'
        )
    kind = 'cu' + facts['cuda'].replace('.', '') if cuda else 'cpu'
    env = {'MMCV_WITH_OPS': '1', 'MAX_JOBS': os.environ.get('MAX_JOBS', str(jobs()))}
    if not cuda:
        env.update(FORCE_CUDA='0', CUDA_VISIBLE_DEVICES='')
    return wheel_root() / f'torch{facts["torch"]}-{facts["python"]}-{kind}', env


def jobs():
    """Compile jobs: one a core, 2 GB each."""
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    )
    memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    return max(1, min(cores, memory // 2**31))


def cached_wheel(folder, requirement):
    """The wheel of this requirement for this machine, if it is whole and holds the compiled ops."""
    name, version = requirement.split('==')
    pattern = f'{name.replace("-", "_")}-{version}-*{platform.machine()}.whl'
    return next((path for path in sorted(folder.glob(pattern)) if has_ops(path)), None)


def has_ops(wheel):
    try:
        with zipfile.ZipFile(str(wheel)) as archive:
            return any(re.fullmatch(r'mmcv/_ext\..*(so|pyd)', name) for name in archive.namelist())
    except zipfile.BadZipFile:
        return False


def build_wheel(python, requirement, folder, env, log):
    """Compile in a folder beside the target, then move the finished wheel into place."""
    check_compiler()
    with tempfile.TemporaryDirectory(dir=str(folder)) as scratch:
        # pip's own cache does not know which torch a wheel was compiled against: keep out of it
        command = [python, '-m', 'pip', 'wheel', '-v', '--no-build-isolation', '--no-deps']
        command += ['--no-cache-dir', '--no-binary', requirement.split('==')[0]]
        run([*command, '--wheel-dir', scratch, requirement], log, env)
        built = next((path for path in Path(scratch).glob('*.whl') if has_ops(path)), None)
        if built is None:
            raise SetupError(f'the wheel of {requirement} holds no compiled ops: {log} says why')
        target = folder / built.name
        os.replace(str(built), str(target))
    return target
