# NeuroSSL Node in a container: not root, one volume for data, no secrets inside.
#
#   docker build -t neurossl .                                        CPU
#   docker build -t neurossl:cuda --build-arg TORCH=cuda .            CUDA; run it with --gpus all
#   docker run -p 11112:11112 -v neurossl:/data -v ./config.yaml:/etc/neurossl/config.yaml:ro neurossl
#
# TORCH        cpu: torch's build without CUDA, a tenth of the size; cuda: the build that pip finds by default
# TORCH_INDEX  a package index that has that build, where pip's own has not (PyTorch keeps one for each build)

FROM python:3.11-slim-bookworm AS build
ARG TORCH=cpu
ARG TORCH_INDEX=""
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
RUN python -m venv /opt/neurossl
COPY constraints.txt ./
RUN torch=$(grep '^torch==' constraints.txt) && \
    if [ "$TORCH" = cpu ]; then torch="$torch+cpu"; fi && \
    /opt/neurossl/bin/pip install ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} -c constraints.txt "$torch"
COPY pyproject.toml README.md ./
COPY model model
COPY storage storage
COPY node node
RUN /opt/neurossl/bin/pip install -c constraints.txt '.[demo]'

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="NeuroSSL Node" \
      org.opencontainers.image.description="Brain MR studies in by C-STORE, structured reports and heat maps back. Research use only."
RUN groupadd --gid 10001 neurossl && \
    useradd --uid 10001 --gid neurossl --no-create-home --home-dir /data --shell /usr/sbin/nologin neurossl && \
    install --directory --owner=neurossl --group=neurossl --mode=0700 /data
COPY --from=build /opt/neurossl /opt/neurossl
COPY config.yaml /etc/neurossl/config.yaml
# In a container the door is the published port, so the listener binds every address; who may send is still `allow`.
ENV PATH=/opt/neurossl/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    NEUROSSL__DATA_FOLDER=/data \
    NEUROSSL__LISTENER__HOST=0.0.0.0 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER neurossl
WORKDIR /data
VOLUME /data
EXPOSE 11112
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=120s --retries=3 \
    CMD ["neurossl", "health", "--config", "/etc/neurossl/config.yaml"]
ENTRYPOINT ["neurossl"]
CMD ["serve", "--config", "/etc/neurossl/config.yaml"]
