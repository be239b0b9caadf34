#!/usr/bin/env bash
# Builds the image, starts the stack of docker-compose.yml, runs deploy/smoke.py against it, takes all of it away again.
#
# With a Docker engine, that engine does it. Without one, the script that CONTAINER_CHECK names does: it brings a private
# engine along and makes stand-ins for the base images, so it says nothing about those images themselves.
set -euo pipefail
cd "$(dirname "$0")/.."

# For this run only, and with characters that an address could not hold as they are.
POSTGRES_PASSWORD=$(python3 -c 'import secrets; print("@:/%$" + secrets.token_hex(24))')
# Its own project name and port: a stack that is in use here is left alone.
export POSTGRES_PASSWORD COMPOSE_PROJECT_NAME=forecastle-check
# Two of each, as on a machine where one may go down.
export FORECASTLE_PORT=18000-18001 FORECASTLE_APIS=2 FORECASTLE_WORKERS=2 FORECASTLE_SCHEDULERS=2
# Only so that the files can be read: no cluster is started here, tests/faults does that.
export RAY_AUTH_TOKEN=none

if docker info >/dev/null 2>&1; then
  docker compose config --quiet
  docker compose --file docker-compose.yml --file docker-compose.gpu.yml config --quiet
  docker compose --file docker-compose.yml --file deploy/ray/docker-compose.yml config --quiet
  trap 'status=$?; ((status == 0)) || docker compose logs --no-color --tail 40; docker compose down --volumes --timeout 10' EXIT
  docker compose build
  docker compose up --detach --wait --wait-timeout 180
  python3 deploy/smoke.py
  exit
fi

stand_ins=${CONTAINER_CHECK:-../shared/tools/container-check.sh}
if [ ! -x "$stand_ins" ]; then
  echo "container-check: no Docker engine answers, and there is no $stand_ins (CONTAINER_CHECK) to stand in for one" >&2
  exit 1
fi
"$stand_ins" --project . \
  --standin python:3.13-slim-trixie=python/trixie \
  --standin postgres:17=postgres/trixie \
  --cache "${XDG_CACHE_HOME:-$HOME/.cache}/forecastle-standins" \
  --exec 'docker compose --file docker-compose.yml --file docker-compose.gpu.yml config --quiet &&
    docker compose --file docker-compose.yml --file deploy/ray/docker-compose.yml config --quiet && python3 deploy/smoke.py'
