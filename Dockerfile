# BIDS App of csvd on the CPU, see docs/bids_app.md: docker build -t csvd:0.1.0 .
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
# Address of an index with torch for the CPU. Empty: the package index of pip, whose torch brings CUDA, 4 GB more.
ARG TORCH_INDEX=
COPY tools/image.sh /source/tools/
COPY pyproject.toml constraints.txt /source/
RUN sh /source/tools/image.sh dependencies
COPY README.md LICENSE /source/
COPY src /source/src
COPY bundles /source/bundles
RUN sh /source/tools/image.sh package

FROM ${BASE}
ARG TAG=csvd:0.1.0
LABEL org.opencontainers.image.title="csvd" \
    org.opencontainers.image.description="Detects cerebral microbleeds on susceptibility MRI. Research use only." \
    org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/csvd /opt/csvd
COPY tools/image.sh /source/tools/
RUN sh /source/tools/image.sh user
ENV CSVD_CONTAINER_TAG=${TAG}
ENV PATH=/opt/csvd/bin:/usr/local/bin:/usr/bin:/bin
ENV PYTHONNOUSERSITE=1
ENV PYTHONDONTWRITEBYTECODE=1
USER csvd
ENTRYPOINT ["csvd-bids"]
