# Built from the lock file, hashes checked; the final stage has Python and rotator, and no tool
# that builds or installs. Runs as a plain user, with a read-only root: give it a writable folder
# for the ledger (/var/lib/rotator) and nothing else.
#
#   make image                    with docker, podman or buildah
#   make image BASE=NAME@DIGEST   on a base of your own with Python 3.11 or later
ARG BASE=docker.io/library/python:3.13-slim

FROM ${BASE} AS build
ARG UV=0.13.8
WORKDIR /src
RUN python3 -m venv /opt/uv && /opt/uv/bin/pip install --no-cache-dir "uv==${UV}"
COPY requirements.lock pyproject.toml README.md LICENSE ./
COPY rotator/ rotator/
RUN python3 -m venv --without-pip /opt/rotator \
    && /opt/uv/bin/uv pip install --no-cache --link-mode copy --python /opt/rotator/bin/python \
        --constraint requirements.lock --build-constraint requirements.lock '.[vault,aws,otel]'
# Of botocore's 400 services only those that rotator asks, and of boto3 no service (it is botocore
# that is used). Then the same bytes from the same commit: compiled files go by the hash of their
# source instead of its time, and nothing tells when it was built.
RUN site="$(echo /opt/rotator/lib/python3*/site-packages)" \
    && find "$site/botocore/data" -mindepth 1 -maxdepth 1 -type d \
        ! -name secretsmanager ! -name sts ! -name sso ! -name sso-oidc ! -name signin \
        -exec rm -r {} + \
    && rm -r "$site/boto3/data" "$site/boto3/examples" \
    && find "$site" -type d \( -name tests -o -name testing \) -prune -exec rm -r {} + \
    && find "$site" \( -name '*.pyi' -o -name '*.c' -o -name '*.pyx' -o -name uv_cache.json \) -delete \
    && sed -i '/uv_cache.json/d' "$site"/rotator-*.dist-info/RECORD \
    && /opt/rotator/bin/python -m compileall -q --invalidation-mode unchecked-hash "$site"

FROM ${BASE}
ARG VERSION=0.1.0
ARG REVISION=
ARG CREATED=
LABEL org.opencontainers.image.title="rotator" \
      org.opencontainers.image.description="Keeps the credentials of Confluent Cloud Flink connections fresh" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
# The base's installers are of no use at run time.
RUN rm -rf /usr/local/lib/python3*/site-packages/pip* /usr/local/lib/python3*/ensurepip \
        /usr/lib/python3*/ensurepip /usr/local/bin/pip* \
    && install -d -o 65532 -g 65532 -m 0700 /var/lib/rotator
COPY --from=build /opt/rotator /opt/rotator
ENV PATH=/opt/rotator/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ROTATOR_CONFIG=/etc/rotator/rotator.yaml
USER 65532:65532
WORKDIR /var/lib/rotator
EXPOSE 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=6s --start-period=30s CMD ["rotator", "health"]
ENTRYPOINT ["rotator"]
CMD ["run"]
