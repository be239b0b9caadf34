#!/usr/bin/env bash
# Builds the images, starts the stack of docker-compose.yml with proxy and monitoring, runs deploy/smoke.py against it, and
# removes all of it.
#
# It uses the Docker engine if there is one. Otherwise it uses the script named by CONTAINER_CHECK, which brings a
# private engine and substitutes for the base images; then the base images themselves are not tested, nor is Grafana.
set -euo pipefail
cd "$(dirname "$0")/.."

# For this run only; the password has characters that a URL must escape.
secrets=$(mktemp -d)
trap 'rm -r "$secrets"' EXIT
python3 -c 'import secrets; print("@:/%$" + secrets.token_hex(24))' >"$secrets/postgres-password"
sh deploy/create-secrets.sh "$secrets"
chmod 644 "$secrets/postgres-password"
# deploy/smoke_alerts.py writes the key, once there is an api that makes one.
install -m 644 /dev/null "$secrets/metrics-key"
# Its own project name and ports, so that it does not touch a running stack.
export FORECASTLE_SECRETS=$secrets COMPOSE_PROJECT_NAME=forecastle-check COMPOSE_PROFILES=tls,observability
export FORECASTLE_HTTP_PORT=18080 FORECASTLE_HTTPS_PORT=18443 PROMETHEUS_PORT=19090 ALERTMANAGER_PORT=19093 GRAFANA_PORT=13000
export FORECASTLE_ALERTMANAGER=$PWD/deploy/check/alertmanager.yml
# Two processes of each role, so that one may fail.
export FORECASTLE_PORT=18000-18001 FORECASTLE_APIS=2 FORECASTLE_WORKERS=2 FORECASTLE_SCHEDULERS=2
parse='docker compose --profile "*" config --quiet &&
  RAY_AUTH_TOKEN=none docker compose --file docker-compose.yml --file deploy/ray/docker-compose.yml config --quiet'

if docker info >/dev/null 2>&1; then
  bash -c "$parse"
  trap 'status=$?; ((status == 0)) || docker compose logs --no-color --tail 40; docker compose down --volumes --timeout 10; rm -r "$secrets"' EXIT
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
  --file deploy/check/docker-compose.yml \
  --standin python:3.13-slim-trixie=python/trixie \
  --standin postgres:17=postgres/trixie \
  --standin prom/prometheus:v3.5.0=prometheus/trixie \
  --standin debian:trixie-slim=debian/trixie \
  --skip stand-in-caddy --skip stand-in-alertmanager --skip grafana \
  --cache "${XDG_CACHE_HOME:-$HOME/.cache}/forecastle-standins" \
  --exec "export COMPOSE_FILE=docker-compose.yml && $parse && python3 deploy/smoke.py"
