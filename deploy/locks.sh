#!/bin/sh
# Writes deploy/locks: every package of an installation with the hashes of its files, in the versions of constraints.txt.
# cpu.txt and gpu.txt are for serving and training, ray.txt is what a cluster needs besides, dev.txt is for `make test`, and
# build.txt is for the build of an image.
set -eu
cd "$(dirname "$0")/.."
lock() {
    file=deploy/locks/$1.txt
    shift
    "${UV:-uv}" pip compile "$@" --quiet --universal --python-version 3.11 --generate-hashes --constraints constraints.txt \
        --no-header --no-annotate --no-strip-extras --output-file "$file"
}
lock cpu pyproject.toml --extra cpu --extra worker --extra otel
lock gpu pyproject.toml --extra gpu --extra worker --extra otel
lock ray pyproject.toml --extra ray
lock dev pyproject.toml --extra cpu --extra worker --extra ray --extra jax --extra dev
printf 'cyclonedx-bom\nuv\n' | lock build -
