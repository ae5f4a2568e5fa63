#!/bin/bash
#SBATCH -N 16
# Options of srun go before those of the job.
declare -a PLAN=(--tensor-model-parallel-size 4 --pipeline-model-parallel-size 2)
if [[ -n "$DEBUG" ]]; then
    PLAN+=(--log-timers-to-tensorboard)
fi
PLAN+=(--expert-model-parallel-size "${EP:-4}" --expert-tensor-parallel-size 1)
srun -N4 --ntasks-per-node=8 python -u pretrain_gpt.py "${PLAN[@]}" --num-layers 48 --num-experts 128 \
    --moe-router-topk 8 --micro-batch-size 1 --global-batch-size 64
