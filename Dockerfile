# The gateway as an image: `uv build --wheel --out-dir dist && docker build -t scaigrid .`
# Nothing of the checkout comes along but the wheel and the pins with their hashes. docs/containers.md says how to run it.

FROM python:3.13-slim-trixie AS build
WORKDIR /build
RUN python -m venv /opt/scaigrid
COPY requirements.lock ./
RUN /opt/scaigrid/bin/pip install --no-cache-dir --only-binary :all: --require-hashes --requirement requirements.lock
COPY dist/scaigrid-*.whl ./
RUN /opt/scaigrid/bin/pip install --no-cache-dir --no-index --no-deps scaigrid-*.whl \
    && /opt/scaigrid/bin/pip check \
    && /opt/scaigrid/bin/pip uninstall --yes pip

FROM python:3.13-slim-trixie
LABEL org.opencontainers.image.title="ScaiGrid" \
      org.opencontainers.image.description="A self-hosted gateway between applications and LLM providers" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/scaigrid /opt/scaigrid
ENV PATH=/opt/scaigrid/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# Journals, the lock file and, without a database server, the database. All that is written is here.
RUN install -d -o 10001 -g 10001 -m 0750 /var/lib/scaigrid
WORKDIR /var/lib/scaigrid
VOLUME ["/var/lib/scaigrid"]
# By number, so that a cluster can see that it is not root.
USER 10001:10001
EXPOSE 8000
# It drains (server.drain_seconds), finishes (server.shutdown_seconds) and writes what is in its journals.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
ENTRYPOINT ["scaigrid"]
CMD ["serve", "/etc/scaigrid/scaigrid.yaml", "--host", "0.0.0.0", "--port", "8000"]
