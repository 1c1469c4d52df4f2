# The simulator in a container: `docker build -t cbspec .`; docs/how-to/simulator.md describes its use.
FROM python:3.13-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY cbspec cbspec/
COPY schemas schemas/
COPY simulator simulator/
COPY reference_client reference_client/
COPY conformance conformance/
RUN pip wheel --no-deps --wheel-dir /wheel .
RUN python -m venv --without-pip /cbspec
# EXTRAS="[verify]" adds the packages of the conformance suite.
ARG EXTRAS=""
RUN pip --python /cbspec/bin/python install --no-cache-dir --constraint constraints.txt "$(echo /wheel/*.whl)$EXTRAS"
RUN mkdir /state

FROM python:3.13-slim
COPY --from=build /cbspec /cbspec
COPY --from=build --chown=10001:10001 /state /state
ENV PATH=/cbspec/bin:$PATH
ENV CBSPEC_STATE_DIR=/state
USER 10001:10001
VOLUME /state
EXPOSE 8080
# Any answer of the controls will do: with a token of their own they refuse the request.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["python", "-c", \
    "import http.client as h; c = h.HTTPConnection('127.0.0.1', 8081, timeout=3); c.request('GET', '/health'); c.getresponse()"]
ENTRYPOINT ["cbspec", "simulate", "--host", "0.0.0.0", "--development", "--name", "relay", "--control"]
