#!/usr/bin/env bash
# Train on several GPUs (or CPU processes) of one or more machines:
#   tools/dist_train.sh CONFIG GPUS [arguments of tools/train.py]
# NNODES, NODE_RANK, MASTER_ADDR and PORT are read from the environment.
set -euo pipefail
if [ $# -lt 2 ]; then
    sed -n 2,4p "$0" >&2
    exit 2
fi
"${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$2" \
    "$(dirname "$0")/train.py" "$1" --launcher pytorch "${@:3}" &
trap 'kill -TERM $!' TERM INT HUP
status=0
wait $! || status=$?
# A signal ends the first wait, but not yet the processes.
[ $status -le 128 ] || wait $! || status=$?
if [ $status -ne 0 ]; then
    echo "The training has stopped (exit code $status). Above, what failed" \
        'first is under "Root Cause". A training that had begun goes on from' \
        'its last checkpoint: the same command with --resume.' >&2
fi
exit $status
