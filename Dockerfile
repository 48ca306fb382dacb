# The emulator in a container: `docker build -t ours-emulator .`, then `docker run --rm -p 127.0.0.1:4010:4010 ours-emulator`.
# It runs as an unprivileged user, with a read-only root (--read-only --tmpfs /tmp) and without capabilities (--cap-drop ALL).
# A release pins this image to its digest: scripts/pin_images.py.
FROM python:3.13-slim AS build
WORKDIR /src
# Exactly the files that were locked (`make lock`), and no package that would have to be compiled.
COPY docker/requirements.txt docker/build-requirements.txt ./docker/
RUN python -m venv --without-pip /opt/ours-emulator \
    && python -m pip install --no-cache-dir --disable-pip-version-check --require-hashes --only-binary :all: \
        --requirement docker/build-requirements.txt \
    && python -m pip --python /opt/ours-emulator/bin/python install --no-cache-dir --disable-pip-version-check \
        --require-hashes --only-binary :all: --requirement docker/requirements.txt
COPY pyproject.toml README.md LICENSE ./
COPY app ./app
# The backend is installed already, so nothing is fetched that is not locked.
RUN python -m hatchling build --target wheel --directory dist \
    && python -m pip --python /opt/ours-emulator/bin/python install --no-cache-dir --disable-pip-version-check \
        --no-index --no-deps dist/ours_emulator-*.whl \
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
# A database is kept in /data. Without one the store is in /tmp, which a read-only root needs as a tmpfs: a volume for it
# would be left behind by every container that is not removed with its volumes.
VOLUME /data
EXPOSE 4010
# It finds the emulator by the file that one leaves in /tmp while it runs, whatever its port was set by.
HEALTHCHECK --interval=5s --timeout=5s --start-period=15s --retries=3 CMD ["ours-emulator", "healthcheck"]
ENTRYPOINT ["ours-emulator"]
CMD ["serve"]
