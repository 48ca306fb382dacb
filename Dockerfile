# The emulator in a container: `docker build -t ours-emulator .`, then `docker run --rm -p 127.0.0.1:4010:4010 ours-emulator`.
# It runs as nobody in particular, with a read-only root (--read-only) and without capabilities (--cap-drop ALL).
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY app ./app
RUN python -m venv --without-pip /opt/ours-emulator \
    && python -m pip --python /opt/ours-emulator/bin/python install --no-cache-dir --disable-pip-version-check . \
    && install -d -o 10001 -g 10001 /data

FROM python:3.13-slim
LABEL org.opencontainers.image.title="ours-emulator" \
      org.opencontainers.image.description="The Ours Privacy Ingest API and Client API on your own machine" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/ours-emulator /opt/ours-emulator
COPY --from=build --chown=10001:10001 /data /data
ENV PATH="/opt/ours-emulator/bin:$PATH" \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    OURS_EMULATOR_HOST=0.0.0.0
USER 10001:10001
WORKDIR /data
# Writable also where the root is not: a database is kept in /data, and without one the store is in /tmp.
VOLUME ["/data", "/tmp"]
EXPOSE 4010
# It finds the emulator by the file that one leaves in /tmp while it runs, whatever its port was set by.
HEALTHCHECK --interval=5s --timeout=5s --start-period=15s --retries=3 CMD ["ours-emulator", "healthcheck"]
ENTRYPOINT ["ours-emulator"]
CMD ["serve"]
