#!/usr/bin/env bash
# Train on several GPUs (or CPU processes) of one or more machines:
#   tools/dist_train.sh CONFIG GPUS [arguments of tools/train.py]
# NNODES, NODE_RANK, MASTER_ADDR and PORT are read from the environment.
# Told to stop (SIGTERM, Ctrl+C), it lets a checkpoint be written and exits with
# 75 (130); the same command with --resume goes on.
set -euo pipefail
if [ $# -lt 2 ]; then
    sed -n 2,6p "$0" >&2
    exit 2
fi
# torchrun passes SIGTERM on to its processes, but exits with 1 then.
pid= stopped=
trap 'stopped=75; kill -TERM "$pid" 2>/dev/null || :' TERM
"${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$2" \
    "$(dirname "$0")/train.py" "$1" --launcher pytorch "${@:3}" &
pid=$!
trap 'stopped=130' INT # from a terminal it reaches torchrun, too
[ "$stopped" != 75 ] || kill -TERM "$pid" # it came before there was a process
status=0
while :; do
    wait "$pid" && status=0 || status=$?
    kill -0 "$pid" 2>/dev/null || break # else a signal came while waiting
done
if [ -n "$stopped" ] && [ "$status" -ne 0 ]; then
    status=$stopped
fi
if [ "$status" -ne 0 ] && [ "$status" -ne 75 ] && [ -z "$stopped" ]; then
    echo "The training has stopped (exit code $status). Above, what failed" \
        'first is under "Root Cause". A training that had begun goes on from' \
        'its last checkpoint: the same command with --resume.' >&2
fi
exit "$status"
