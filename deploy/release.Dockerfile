# The image of a release: the binary that goreleaser has built, on the base of deploy/Dockerfile.
FROM gcr.io/distroless/static-debian13:nonroot
ARG TARGETPLATFORM
COPY $TARGETPLATFORM/afterwrite /usr/local/bin/afterwrite
USER 65532:65532
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
	CMD ["/usr/local/bin/afterwrite", "healthcheck", "api", "--live"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/afterwrite"]
CMD ["api"]
