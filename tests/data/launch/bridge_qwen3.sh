#!/bin/bash
# A recipe with overrides; the shell of a container starts torchrun.
#SBATCH -N 4
#SBATCH --ntasks-per-node=1
CLI_OVERRIDES="train.train_iters=100 train.global_batch_size=64 train.micro_batch_size=1 \
  optimizer.lr=1e-4 scheduler.lr_warmup_iters=10 logger.log_interval=1 \
  checkpoint.save=/results dataset.random_seed=7"
PARALLEL="model.tensor_model_parallel_size=4 model.pipeline_model_parallel_size=2 \
  model.expert_model_parallel_size=16 model.expert_tensor_parallel_size=1 \
  model.sequence_parallel=True model.context_parallel_size=1"
srun --no-container-mount-home bash -c "torchrun --nnodes=$SLURM_NNODES --nproc_per_node=8 \
  scripts/run_recipe.py --recipe pretrain_30b $PARALLEL $CLI_OVERRIDES"
