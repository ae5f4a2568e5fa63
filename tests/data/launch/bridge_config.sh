#!/usr/bin/env bash
#SBATCH --job-name pretrain
#SBATCH -N 8 --ntasks-per-node 8
# Overrides of a recipe in a file, one more on the line.
srun --mpi=pmix python scripts/run_recipe.py --recipe pretrain_30b --config-file overrides.yaml \
    model.pipeline_model_parallel_size=4 train.train_iters=1000
