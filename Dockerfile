# The function's image: one static binary. Built on the builder's platform for
# each target platform, so that no emulation is needed:
#   docker buildx build --platform linux/amd64,linux/arm64 .
FROM --platform=$BUILDPLATFORM golang:1.26.8-bookworm AS build

WORKDIR /src
ENV CGO_ENABLED=0

COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download

COPY . .
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=dev
RUN --mount=type=cache,target=/go/pkg/mod \
    --mount=type=cache,target=/root/.cache/go-build \
    GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath \
    -ldflags="-s -w -X main.buildVersion=$VERSION" -o /function .

# No shell, no package manager, and a user that is not root.
FROM gcr.io/distroless/static-debian12:nonroot AS image

ARG VERSION=dev
LABEL org.opencontainers.image.title="function-dittoserver" \
      org.opencontainers.image.description="Composes a DittoFS file server on Percona PostgreSQL for each DittoServer" \
      org.opencontainers.image.source="https://github.com/dittofs/function-dittoserver" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION"

COPY --from=build /function /function

# Function calls (mTLS), metrics, health.
EXPOSE 9443 8080 8081
USER 65532:65532
ENTRYPOINT ["/function"]
