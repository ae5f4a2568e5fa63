#!/bin/bash
# etp of its own, first stage shorter, and a second node count by hand.
TP=${TP:-2}; PP=${PP:-3}; EP=${EP:-4}; ETP=1
NNODES=3
NPROC=8
ARGS=(--tensor-model-parallel-size ${TP} --pipeline-model-parallel-size ${PP})
ARGS+=(--expert-model-parallel-size ${EP} --expert-tensor-parallel-size ${ETP})
ARGS+=(--decoder-first-pipeline-num-layers 14 --decoder-last-pipeline-num-layers 16)
ARGS+=(--num-layers 48 --hidden-size 2048 --ffn-hidden-size 6144 --moe-ffn-hidden-size 768)
ARGS+=(--num-attention-heads 32 --num-query-groups 4 --kv-channels 128 --qk-layernorm)
ARGS+=(--num-experts 128 --moe-router-topk 8 --moe-router-dtype fp32)
ARGS+=(--vocab-size 151936 --rotary-base 1000000 --disable-bias-linear --sequence-parallel)
ARGS+=(--micro-batch-size 2 --global-batch-size 64 --attention-backend flash --fp8-format hybrid)
echo "starting ${NNODES} nodes"
python3 -m torch.distributed.run --nnodes=${NNODES} --nproc-per-node=${NPROC} \
    --rdzv-backend c10d --rdzv-endpoint "$HEAD:29500" --rdzv-id $SLURM_JOB_ID \
    pretrain_gpt.py "${ARGS[@]}" --mock-data --no-create-attention-mask-in-dataloader
