# One image for every process of Simmer; compose.yaml says which command each of them runs.

FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
# Celery takes a group without a name for root's, and warns.
RUN groupadd --gid 10001 simmer \
    && useradd --uid 10001 --gid 10001 --home-dir /tmp --no-create-home --shell /usr/sbin/nologin simmer
RUN ["python", "-m", "venv", "--without-pip", "/opt/simmer"]
# Dependencies first: they change less often than the code, and this layer is the slow one.
COPY requirements.lock ./
RUN pip --python /opt/simmer/bin/python install --no-deps --require-hashes --only-binary :all: -r requirements.lock
COPY deploy/build.lock deploy/
RUN pip install --no-deps --require-hashes --only-binary :all: -r deploy/build.lock
COPY pyproject.toml README.md LICENSE ./
COPY app app
COPY migrations migrations
COPY workers workers
# Without isolation the build uses the locked hatchling from above, and fetches nothing.
RUN pip wheel --no-deps --no-index --no-build-isolation --wheel-dir /dist . \
    && pip --python /opt/simmer/bin/python install --no-deps --no-index /dist/*.whl

FROM python:3.13-slim
ENV HOME=/tmp \
    PATH=/opt/simmer/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
COPY --from=build /etc/passwd /etc/group /etc/
COPY --from=build /opt/simmer /opt/simmer
WORKDIR /srv
USER 10001:10001
EXPOSE 8000
# Each process has a check of its own: see compose.yaml.
HEALTHCHECK NONE
CMD ["gunicorn", "--config", "python:app.gunicorn", "--bind", "0.0.0.0:8000", "app.factory:create_app()"]
