# One image for every role: api, worker and the one-shot migration differ only in their command, so a deployment never
# runs two versions of the code, and one build, one scan and one pull serve all three. The cost is that the api image
# contains TensorFlow, which only training imports: on disk, not in memory.
#
#   docker build -t forecastle .                               for CPUs
#   docker build -t forecastle --build-arg VARIANT=gpu .       for NVIDIA GPUs (CUDA comes with the wheels)
#   docker build -t forecastle --build-arg CLUSTER=ray .       for the machines of a Ray cluster, see deploy/ray

# BASE may have a digest: --build-arg BASE=python:3.13-slim-trixie@sha256:...
ARG BASE=python:3.13-slim-trixie
FROM ${BASE} AS base

# ---- Dependencies: a layer of their own, rebuilt only when their lock changes. A file whose hash is not in it is refused.
FROM base AS dependencies
ARG VARIANT=cpu
ARG CLUSTER=
ENV PATH=/opt/build/bin:${PATH} \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1 \
    PYC_INVALIDATION_MODE=UNCHECKED_HASH \
    UV_PYTHON_DOWNLOADS=never \
    VIRTUAL_ENV=/opt/venv
COPY deploy/locks /locks
RUN python3 -m venv /opt/build \
 && /opt/build/bin/pip install --require-hashes --requirement /locks/build.txt
# The C++ headers are a fifth of TensorFlow; only builds of extensions need them.
RUN case "${VARIANT}" in cpu|gpu) ;; *) echo "VARIANT is '${VARIANT}': give cpu or gpu" >&2; exit 1 ;; esac \
 && case "${CLUSTER}" in ''|ray) ;; *) echo "CLUSTER is '${CLUSTER}': give ray or nothing" >&2; exit 1 ;; esac \
 && uv venv --python /usr/local/bin/python3 "${VIRTUAL_ENV}" \
 && uv pip install --require-hashes --requirements "/locks/${VARIANT}.txt" ${CLUSTER:+--requirements "/locks/${CLUSTER}.txt"} \
 && rm -r "${VIRTUAL_ENV}"/lib/python3.*/site-packages/tensorflow/include

# ---- Forecastle itself: a layer of a megabyte above the dependencies. Setuptools is one of them.
FROM dependencies AS package
WORKDIR /build
COPY pyproject.toml README.md LICENSE ./
COPY migrations migrations
COPY models models
COPY app app
RUN uv pip install --no-deps --no-build-isolation --prefix /opt/package . \
 && mkdir -p /opt/package/share/forecastle \
 && cyclonedx-py environment --output-reproducible --pyproject pyproject.toml \
    --output-file /opt/package/share/forecastle/sbom.cdx.json "${VIRTUAL_ENV}/bin/python"

# ---- Runtime image: no compiler, no uv, no source tree.
FROM base
# A numeric user, so that an orchestrator can verify that it is not root. Its home is /tmp: all but /tmp and /data may be read-only.
RUN groupadd --gid 10001 forecastle \
 && useradd --uid 10001 --gid 10001 --home-dir /tmp --no-create-home --shell /usr/sbin/nologin forecastle \
 && install --directory --owner=10001 --group=10001 --mode=700 /data
COPY --from=dependencies /opt/venv /opt/venv
COPY --from=package /opt/package /opt/venv
ENV PATH=/opt/venv/bin:${PATH} \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONSAFEPATH=1 \
    TF_CPP_MIN_LOG_LEVEL=2 \
    FORECASTLE_DATA_DIR=/data \
    FORECASTLE_PORT=8000
WORKDIR /data
VOLUME /data
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
# Liveness, not readiness: orchestrators restart on failure, and an unreachable database is no reason to restart.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python", "-c", "import http.client, os; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['FORECASTLE_PORT']), timeout=4); c.request('GET', '/livez'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["forecastle"]
CMD ["serve", "--host", "0.0.0.0"]
ARG BASE
ARG VARIANT=cpu
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="Forecastle" \
      org.opencontainers.image.description="Self-hosted time-series forecasting: post history, get forecasts with honest intervals." \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="${BASE}" \
      forecastle.variant="${VARIANT}"
