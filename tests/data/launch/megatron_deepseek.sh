#!/usr/bin/env bash
#SBATCH --job-name=mla-moe
#SBATCH --nodes=32
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --time=04:00:00
#SBATCH --exclusive
# A model with latent attention: stages by a layout, ranks from Slurm.
set -euo pipefail
export NCCL_IB_TIMEOUT=19 TORCH_NCCL_AVOID_RECORD_STREAMS=1

options=" \
    --tensor-model-parallel-size 1 --pipeline-model-parallel-size 8 \
    --pipeline-model-parallel-layout 'Et*7|t*8|t*8|t*8|t*8|t*8|t*8|t*6L' \
    --expert-model-parallel-size 32 --expert-tensor-parallel-size 1 \
    --num-layers 61 --hidden-size 7168 --ffn-hidden-size 18432 \
    --num-attention-heads 128 --kv-channels 128 \
    --multi-latent-attention --q-lora-rank 1536 --kv-lora-rank 512 \
    --qk-head-dim 128 --qk-pos-emb-head-dim 64 --v-head-dim 128 --qk-layernorm \
    --num-experts 256 --moe-ffn-hidden-size 2048 --moe-router-topk 8 \
    --moe-shared-expert-intermediate-size 2048 \
    --moe-layer-freq '([0]*3+[1]*58)' \
    --moe-router-score-function sigmoid --moe-router-enable-expert-bias \
    --moe-router-bias-update-rate 1e-3 --moe-router-dtype fp32 \
    --moe-router-num-groups 8 --moe-router-group-topk 4 \
    --moe-router-topk-scaling-factor 2.5 --moe-router-pre-softmax \
    --moe-router-load-balancing-type seq_aux_loss --moe-aux-loss-coeff 1e-4 \
    --moe-token-dispatcher-type flex --moe-enable-deepep --moe-permute-fusion \
    --moe-grouped-gemm --disable-bias-linear --normalization RMSNorm \
    --norm-epsilon 1e-6 --swiglu --untie-embeddings-and-output-weights \
    --position-embedding-type rope --rotary-base 10000 --bf16 \
    --micro-batch-size 1 --global-batch-size 2048 --seq-length 4096 \
    --max-position-embeddings 4096 --recompute-granularity selective \
    --recompute-modules mla_up_proj layernorm --use-distributed-optimizer \
    --overlap-grad-reduce --overlap-param-gather --train-samples 585937500 \
    --tokenizer-type HuggingFaceTokenizer --tokenizer-model ${TOKENIZER}"

run="python -u ${MEGATRON:-/opt/megatron}/pretrain_gpt.py ${options}"
srun -l --mpi=pmix --container-image=${IMAGE} --container-mounts=/data:/data \
    sh -c "${run}"
