#!/bin/bash
# Stages that the number of layers does not divide, in a container.
docker run --gpus all --ipc=host -v /models:/models -p 8000:8000 image:latest \
    python3 -m vllm.entrypoints.openai.api_server --model /models/30b \
    --pipeline-parallel-size 5 --tensor-parallel-size 2 --distributed-executor-backend ray \
    --max-model-len 32768 --dtype bfloat16 --enable-chunked-prefill
