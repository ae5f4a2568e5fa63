#!/bin/bash
#SBATCH --nodes=2 --gpus-per-node=8
export GPUS=$((SLURM_NNODES * SLURM_GPUS_PER_NODE))
accelerate launch --config_file fsdp.yaml --num_processes $GPUS --machine_rank $SLURM_NODEID train.py
