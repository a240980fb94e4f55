# The function's package for people with Docker: the same program, metadata and
# runtime as make build gives, which needs no Docker. Built on the builder's
# platform for each target platform, so that no emulation is needed:
#   docker buildx build --platform linux/amd64,linux/arm64 .
FROM --platform=$BUILDPLATFORM golang:1.26.10-bookworm AS build

WORKDIR /src
ENV CGO_ENABLED=0 GOAMD64=v1 GOARM64=v8.0

COPY go.mod go.sum ./
COPY tools/xpkg/go.mod tools/xpkg/go.sum tools/xpkg/
RUN --mount=type=cache,target=/go/pkg/mod \
    go mod download && go -C tools/xpkg mod download

COPY . .
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=v0.0.0-dev
RUN --mount=type=cache,target=/go/pkg/mod \
    --mount=type=cache,target=/root/.cache/go-build \
    GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -buildvcs=false \
    -ldflags="-s -w -X main.buildVersion=$VERSION" -o /out/function .

# What makes the image a package. Crossplane finds the file in an image without
# the annotated layer that make build gives.
RUN --mount=type=cache,target=/go/pkg/mod \
    --mount=type=cache,target=/root/.cache/go-build \
    go run -C tools/xpkg ./cmd/xpkg stream /src/package > /out/package.yaml

# Nothing but the program, which is static and writes no file.
FROM scratch AS image

ARG VERSION=v0.0.0-dev
LABEL org.opencontainers.image.title="function-dittoserver" \
      org.opencontainers.image.description="Composes DittoFS file servers (NFS and SMB) with everything they need, on SQLite or on a PostgreSQL that the Percona operator runs." \
      org.opencontainers.image.source="https://github.com/dittofs/function-dittoserver" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION"

COPY --chmod=0755 --from=build /out/function /function
COPY --chmod=0644 --from=build /out/package.yaml /package.yaml

# Function calls (mTLS), metrics, health.
EXPOSE 9443 8080 8081
USER 65532:65532
ENTRYPOINT ["/function"]
