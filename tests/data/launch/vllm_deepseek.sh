#!/bin/sh
export VLLM_ALL2ALL_BACKEND=deepep_low_latency VLLM_USE_DEEP_GEMM=1
vllm serve /models/671b --tensor-parallel-size 1 --data-parallel-size 16 \
    --data-parallel-size-local 8 --data-parallel-address 10.0.0.1 --data-parallel-rpc-port 13345 \
    --enable-expert-parallel --trust-remote-code --max-model-len 16384 --gpu-memory-utilization 0.9 \
    --no-enable-prefix-caching --api-server-count 8 --served-model-name m
