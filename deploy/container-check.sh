#!/usr/bin/env bash
# Builds the image, starts the stack of docker-compose.yml, runs deploy/smoke.py against it, and removes all of it.
#
# It uses the Docker engine if there is one. Otherwise it uses the script named by CONTAINER_CHECK, which brings a
# private engine and substitutes for the base images; then the base images themselves are not tested.
set -euo pipefail
cd "$(dirname "$0")/.."

# For this run only, with characters that a URL must escape.
POSTGRES_PASSWORD=$(python3 -c 'import secrets; print("@:/%$" + secrets.token_hex(24))')
# Its own project name and port, so that it does not touch a running stack.
export POSTGRES_PASSWORD COMPOSE_PROJECT_NAME=forecastle-check
# Two processes of each role, so that one may fail.
export FORECASTLE_PORT=18000-18001 FORECASTLE_APIS=2 FORECASTLE_WORKERS=2 FORECASTLE_SCHEDULERS=2
# Only to parse the files: tests/faults starts clusters, this script does not.
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
