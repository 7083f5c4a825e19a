#!/usr/bin/env bash
# Train on a Slurm cluster:
#   tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [arguments of
#   tools/train.py]
# GPUS, GPUS_PER_NODE, CPUS_PER_TASK and SRUN_ARGS are read from the
# environment. In a batch job, a training that was told to stop (SIGTERM) is
# requeued, and goes on with --resume when the job starts again.
set -euo pipefail
if [ $# -lt 4 ]; then
    sed -n 2,7p "$0" >&2
    exit 2
fi
resume=()
if [ "${SLURM_RESTART_COUNT:-0}" -gt 0 ]; then
    resume=(--resume)
fi
# srun passes signals on, also one that came before it was started.
pid= early=
trap 'early=TERM; kill -TERM "$pid" 2>/dev/null || :' TERM
trap 'early=INT; kill -INT "$pid" 2>/dev/null || :' INT
# SRUN_ARGS holds several words.
# shellcheck disable=SC2086
srun -p "$1" \
    --job-name="$2" \
    --gres=gpu:"${GPUS_PER_NODE:-8}" \
    --ntasks="${GPUS:-8}" \
    --ntasks-per-node="${GPUS_PER_NODE:-8}" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" \
    --kill-on-bad-exit=1 \
    ${SRUN_ARGS:-} \
    "${PYTHON:-python}" -u "$(dirname "$0")/train.py" "$3" \
    --work-dir "$4" --launcher slurm "${@:5}" "${resume[@]}" &
pid=$!
[ -z "$early" ] || kill -"$early" "$pid"
status=0
while :; do
    wait "$pid" && status=0 || status=$?
    kill -0 "$pid" 2>/dev/null || break # else a signal came while waiting
done
# 75: it has written a checkpoint, see mmreact/engine/preemption.py. 143: it was
# ended by SIGTERM while it was starting.
if [[ $status =~ ^(75|143)$ ]] && [ -n "${SLURM_JOB_ID:-}" ]; then
    scontrol requeue "$SLURM_JOB_ID" || : # Slurm may do so itself
fi
exit "$status"
