# The image of a release: the binary that goreleaser has built, on the base of deploy/Dockerfile.
FROM gcr.io/distroless/static-debian13:nonroot
ARG TARGETPLATFORM
COPY $TARGETPLATFORM/afterwrite /usr/local/bin/afterwrite
# The directory of SQLite files belongs to the user of the image: a copy of the base's empty home.
COPY --from=gcr.io/distroless/static-debian13:nonroot --chown=65532:65532 /home/nonroot /var/lib/afterwrite
USER 65532:65532
WORKDIR /var/lib/afterwrite
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
	CMD ["/usr/local/bin/afterwrite", "healthcheck", "api", "--live"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/afterwrite"]
CMD ["api"]
