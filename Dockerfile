# The binary is static, so the image needs no system: no shell, no package manager, one file and the
# certificates that it checks Slack and PagerDuty with.
# A tag can be moved, a digest cannot. To build with another: docker build --build-arg GO_IMAGE=golang:TAG@sha256:...
ARG GO_IMAGE=golang:1.26.8@sha256:6c2a5538f964f1c82f97ad14988bf05de100d922d159d0e398b54c7b0ca0c6c9
FROM --platform=${BUILDPLATFORM:-linux/amd64} ${GO_IMAGE} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG RELEASE=""
ARG COMMIT=""
ARG DATE=""
ARG TARGETOS
ARG TARGETARCH
RUN CGO_ENABLED=0 GOOS=${TARGETOS} GOARCH=${TARGETARCH} go build -trimpath \
      -ldflags "-s -w -X main.release=${RELEASE} -X main.commit=${COMMIT} -X main.date=${DATE}" -o /out/flowbridge ./cmd/flowbridge \
 && mkdir -p /out/data

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/flowbridge /flowbridge
# The database lives on a volume; a new volume takes the owner of this folder.
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
VOLUME /data
WORKDIR /data
ENV FLOWBRIDGE_RULES=/etc/flowbridge/rules.yaml \
    FLOWBRIDGE_DB=/data/flowbridge.db \
    TMPDIR=/data
EXPOSE 8080
# A new version may have to bring the database up to date, and waits up to ten minutes for a table that a backup reads. The first
# good answer ends the period, so a quick start is healthy at once.
HEALTHCHECK --interval=10s --timeout=4s --start-period=11m CMD ["/flowbridge", "healthcheck"]
ENTRYPOINT ["/flowbridge"]
CMD ["serve"]
