#!/usr/bin/env bash
# Runs on the GPU machine, as run.sh of a job folder: trains as the job says and leaves the
# checkpoint in parts under $OUT. Options go to training.gpu_session (--minutes, --accelerator).
set -euo pipefail

job=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=${OUT:-$job/out}
python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"
out=$(cd "$out" && pwd)

tar -xzf "$job/code.tar.gz" -C "$work"
cd "$work"
"$python" -m training.wheels "$job/wheels" "$work/site"
export PYTHONPATH="$work:$work/site${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
export PYTORCH_CUDA_ALLOC_CONF=${PYTORCH_CUDA_ALLOC_CONF:-expandable_segments:True}
"$python" -m training.gpu_session "$job" "$out" --work "$work" "$@"
