# One image for every stage; `docker-compose.yml` runs it once for each, `compose.embedded.yml` once for all.
# Each RUN line is one step of deploy/image.sh, which deploy/rehearse.sh also walks through in a bare Debian root.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS build
COPY deploy/image.sh /src/deploy/image.sh
RUN sh /src/deploy/image.sh tools
COPY . /src
RUN sh /src/deploy/image.sh build /src

FROM ${BASE}
COPY deploy/image.sh /usr/local/share/tocsin/image.sh
RUN sh /usr/local/share/tocsin/image.sh runtime
COPY --from=build /opt/tocsin /opt/tocsin
COPY deploy/certificates.sh /usr/local/share/tocsin/
ENV PATH=/opt/tocsin/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    TOCSIN_CONFIG=/etc/tocsin \
    TOCSIN_DATA=/var/lib/tocsin \
    PYTHONUNBUFFERED=1
USER tocsin
WORKDIR /var/lib/tocsin
VOLUME /var/lib/tocsin
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=8s --start-period=60s --retries=3 CMD ["tocsin", "status"]
ENTRYPOINT ["tocsin"]
CMD ["run"]
