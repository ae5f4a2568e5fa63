# The first two hosts of a hostfile, all their slots.
deepspeed --hostfile=/job/hosts --num_nodes 2 --master_port 29500 train.py --deepspeed --deepspeed_config ds.json
