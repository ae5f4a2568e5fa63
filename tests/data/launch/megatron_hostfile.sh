#!/bin/bash
ARGS="--tensor-model-parallel-size=2 --expert-model-parallel-size=4 --expert-tensor-parallel-size=1"
mpirun --hostfile hosts -x PATH python pretrain_gpt.py ${ARGS} --num-experts 8 --moe-router-topk 2 --num-layers 32
