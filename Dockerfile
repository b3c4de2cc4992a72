# Built from the lock file, hashes checked; the final stage has Python and rotator, and no tool
# that builds or installs. Runs as a plain user, with a read-only root: give it a writable folder
# for the ledger (/var/lib/rotator) and nothing else.
ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS build
ARG UV=0.13.8
RUN python -m pip install --no-cache-dir "uv==${UV}"
WORKDIR /src
COPY requirements.lock pyproject.toml README.md LICENSE ./
COPY rotator/ rotator/
RUN python -m venv --without-pip /opt/rotator \
    && uv pip install --no-cache --compile-bytecode --python /opt/rotator/bin/python \
        --constraint requirements.lock --build-constraint requirements.lock '.[vault,aws]'

FROM python:${PYTHON}-slim
LABEL org.opencontainers.image.title="rotator" \
      org.opencontainers.image.description="Keeps the credentials of Confluent Cloud Flink connections fresh" \
      org.opencontainers.image.licenses="Apache-2.0"
# The base's installers are of no use at run time.
RUN rm -rf /usr/local/lib/python3*/site-packages/pip* /usr/local/lib/python3*/ensurepip /usr/local/bin/pip* \
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
ENTRYPOINT ["rotator"]
CMD ["run"]
