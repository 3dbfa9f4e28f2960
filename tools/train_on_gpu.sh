#!/usr/bin/env bash
# Train for some minutes on a GPU machine that has only torch, numpy and what is brought along.
#
#   tools/train_on_gpu.sh pack --data DIR --run RUN [--minutes 8] [--set steps=20000] ...
#       makes the job folder runs/gpu_job: code, pairs, wheels, the last checkpoint of RUN
#   OUT=FOLDER bash gpu_job/run.sh
#       on that machine, with the folder copied there: trains in bf16 with a batch that fills the
#       card and leaves the checkpoint under FOLDER, in files of at most 15 MiB
#   tools/train_on_gpu.sh unpack FOLDER --run RUN
#       puts the checkpoint back; pack again to go on
#   tools/train_on_gpu.sh dry-run
#       runs the packed job here, one step on the CPU, and puts its result into a scratch folder
#
# "pack --help" lists all options. PYTHON names the interpreter (default: .venv, else python3).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

python=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python3)}
case "${1:-}" in
    pack | unpack)
        exec "$python" -m training.gpu_job "$@"
        ;;
    dry-run)
        job=${2:-runs/gpu_job}
        scratch=$(mktemp -d)
        trap 'rm -rf "$scratch"' EXIT
        PYTHON=$(command -v "$python" | xargs realpath -s) OUT=$scratch/parts \
            bash "$job/run.sh" --minutes 0 --accelerator cpu
        ls -l "$scratch/parts"
        "$python" -m training.gpu_job unpack "$scratch/parts" --run "$scratch/run"
        ;;
    *)
        sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"
        exit 2
        ;;
esac
