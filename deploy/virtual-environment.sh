#!/bin/sh
# Make .venv, or bring it up to date: virtual-environment.sh STAMP LOCK, in the folder of pyproject.toml. LOCK is the name
# of a file of deploy/locks; a package whose hash is not in it is refused.
# PYTHON: the Python of a new environment; if unset, an existing environment keeps its own, and a new one gets python3.
set -eu

stamp=.venv/.$1 lock=deploy/locks/$2.txt goal=${3:-serve}

fail() {
    echo "error: $1" >&2
    exit 1
}

# Prints the version of a Python, or nothing if there is none: of a name that pyenv knows but does not start, too.
version_of() {
    "$1" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null || true
}

is_supported() {
    case $1 in 3.11.* | 3.12.* | 3.13.*) ;; *) return 1 ;; esac
}

suggestion() {
    for name in python3.13 python3.12 python3.11; do
        if is_supported "$(version_of "$name")"; then
            echo "run: make $goal PYTHON=$name"
            return
        fi
    done
    echo "install one of them, such as python3.12, and run: make $goal PYTHON=python3.12"
}

# Two commands at once: the second waits, then finds everything done. Systems without flock do without.
if command -v flock >/dev/null; then
    exec 9<pyproject.toml
    flock 9
fi

existing=$(version_of .venv/bin/python)
python=${PYTHON:-}
if [ -z "$python" ]; then
    python=python3
    if is_supported "$existing"; then python=.venv/bin/python; fi
fi
version=$(version_of "$python")
[ -n "$version" ] || fail "there is no $python here; Python 3.11 to 3.13 is needed; $(suggestion)"
is_supported "$version" || fail "Python 3.11 to 3.13 is needed, and $python is $version; $(suggestion)"

if [ -e .venv ] && [ "${existing%.*}" != "${version%.*}" ]; then
    echo "the virtual environment .venv has Python ${existing:-that does not start}; making it anew with $version" >&2
    rm -rf .venv
fi
if [ ! -e .venv ]; then
    "$python" -m venv .venv || {
        rm -rf .venv
        fail "$python cannot make a virtual environment; on Debian and Ubuntu: apt install python${version%.*}-venv"
    }
fi
if [ "$stamp" -nt pyproject.toml ] && [ "$stamp" -nt "$lock" ]; then exit 0; fi
echo "installing Forecastle and its dependencies into .venv (Python $version, a minute or two)" >&2
install() {
    .venv/bin/python -m pip install --quiet --disable-pip-version-check "$@" ||
        fail "the packages were not installed; pip says why above; correct it and run: make $goal"
}
install --require-hashes --requirement "$lock"
install --no-deps --no-build-isolation --editable .
touch "$stamp" .venv/.serve  # every set of packages includes those of serve
