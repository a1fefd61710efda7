# The demo on a CPU, nothing but this package and its dependencies:
#   docker build -t rim-eval . && docker run --rm rim-eval
FROM python:3.11-slim AS build
# PyTorch's own builds for CPUs; the default index would bring CUDA libraries of some gigabytes.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE NOTICE ./
# That index alone lacks the pinned versions of what PyTorch needs: they come with the package.
# hadolint ignore=DL3013 # constraints.txt pins it
RUN python -m venv /opt/rim-eval \
 && /opt/rim-eval/bin/pip install --no-cache-dir --no-deps --constraint constraints.txt --index-url "$TORCH_INDEX" torch
COPY attacks attacks
COPY judges judges
COPY leaderboard leaderboard
COPY rim_eval rim_eval
COPY tasks tasks
RUN /opt/rim-eval/bin/pip install --no-cache-dir --constraint constraints.txt '.[hf,card]'

FROM python:3.11-slim
RUN useradd --create-home --uid 10001 rim
COPY --from=build /opt/rim-eval /opt/rim-eval
ENV PATH=/opt/rim-eval/bin:$PATH
USER 10001
WORKDIR /home/rim
ENTRYPOINT ["rim-eval"]
CMD ["demo"]
