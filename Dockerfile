# After `make dist`. In a folder with manifests: docker run --rm -v "$PWD:/fleet" reconciler plan
FROM python:3.13-slim
# Debian keeps one version of git, the one with its security updates.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends git && rm -rf /var/lib/apt/lists/*
COPY requirements/tool.txt requirements/metrics.txt dist/*.whl /tmp/
RUN pip install --no-cache-dir --require-hashes --requirement /tmp/tool.txt --requirement /tmp/metrics.txt && \
    pip install --no-cache-dir --no-deps /tmp/*.whl && useradd --create-home --uid 1000 reconciler
USER 1000
WORKDIR /fleet
ENTRYPOINT ["reconciler"]
