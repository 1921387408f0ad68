# syntax=docker/dockerfile:1

# Farebox in a container: one binary, one folder (/data), not root.
#   docker build -t farebox .
#   docker run -p 127.0.0.1:3000:3000 -v farebox:/data farebox

FROM rust:1.94-bookworm AS build
WORKDIR /src
COPY . .
# The caches keep a second build short; the binary is moved out of them, since they are no part of the image.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin farebox && install -D target/release/farebox /out/farebox

FROM debian:bookworm-slim
# Certificates are wanted at their newest, so no version is pinned.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --no-create-home --home-dir /data --shell /usr/sbin/nologin farebox \
    && install --directory --owner farebox --group farebox --mode 0700 /data
COPY --from=build /out/farebox /usr/local/bin/farebox

ENV LISTEN=0.0.0.0:3000 DATA_DIR=/data
WORKDIR /data
VOLUME /data
EXPOSE 3000
# By number, so that an orchestrator can see that it is not root.
USER 10001:10001

# The image has no HTTP client, and needs none: bash opens the connection.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --start-interval=1s --retries=3 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/${LISTEN##*:} && printf 'GET /healthz HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3 && read -r _ status _ <&3 && test \"$status\" = 200"]

ENTRYPOINT ["farebox"]
CMD ["serve"]
