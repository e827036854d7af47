# One image for both roles: the API (the default command) and the worker (`python -m buraq worker`).

FROM python:3.13-slim-trixie AS builder

RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH

WORKDIR /src
COPY pyproject.toml README.md LICENSE requirements.txt ./
COPY buraq ./buraq

# requirements.txt also pins what only the tests use. As constraints it gives what pyproject.toml asks for in exactly
# the tested versions, and nothing of pytest reaches the image. Constraints may not carry extras, so those are cut off.
RUN --mount=type=cache,target=/var/cache/pip \
    sed 's/\[[^]]*\]//' requirements.txt > /tmp/constraints.txt \
    && pip install --cache-dir /var/cache/pip --constraint /tmp/constraints.txt .


FROM python:3.13-slim-trixie

LABEL org.opencontainers.image.title="buraq" \
      org.opencontainers.image.description="Task queue on greenlets and Redis Streams: API and worker" \
      org.opencontainers.image.licenses="MIT"

# A numeric user, because Kubernetes' runAsNonRoot cannot tell from a name that it is not root.
RUN useradd --uid 10001 --no-log-init --create-home --shell /usr/sbin/nologin buraq

COPY --from=builder /opt/venv /opt/venv
WORKDIR /app
COPY wsgi.py gunicorn.conf.py ./

ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1

USER 10001:10001
EXPOSE 8080 2112
STOPSIGNAL SIGTERM

# The API answers here by default. A worker sets HEALTHCHECK_URL=http://127.0.0.1:2112/livez. The image has no curl, and
# a proxy from the environment must not be asked for a loopback address.
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os; from urllib.request import ProxyHandler, build_opener; port = os.environ.get('PORT', '8080'); url = os.environ.get('HEALTHCHECK_URL', f'http://127.0.0.1:{port}/api/health'); build_opener(ProxyHandler({})).open(url, timeout=4)"]

# Exec form: a shell as PID 1 would keep SIGTERM to itself, and every stop would end in SIGKILL.
CMD ["gunicorn", "wsgi:app"]
