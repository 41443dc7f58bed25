#!/usr/bin/env bash
# All that waits for a GPU, in the order of what it is worth, for so many seconds on one GPU.
#
#   benchmarks/gpu.sh SECONDS OUT [PART...]
#
# PARTs, by default all of them in this order:
#   kernels     the solver's kernels against plain torch; beside it the models of below compile
#   solver      the solver's table (gpu.py)
#   training    the training step of q2 beside plain loops (train.py)
#   models      steps of other models beside their convolutions, and separable operators in both forms
#   runs        a run that goes on from its state, compiled, and an eager one, of images (DATA)
#   tune        the kernels' times for other constants of theirs
#   studies     studies/gpu.sh for the time that is left; its rows in OUT/rows.tar.gz
# A part writes OUT/PART.txt line by line. It is stopped at its own limit or that of all, and one
# that fails leaves the others; the status is 1 then.
#
# PYTHON      the interpreter (python3), with torch, Triton, NumPy and SciPy; all parts but kernels,
#             solver and tune want pydantic, safetensors and lightning-fabric too
# DATA        images (folder:cifar10-jpeg.tar.xz in the present folder)
# REHEARSE    not empty: small, on the processor, without studies
set -uo pipefail
case "${1:-}" in
"" | *[!0-9]*)
    echo "gpu.sh: got '${1:-}' seconds, must be a whole number: gpu.sh SECONDS OUT [PART...]" >&2
    exit 2
    ;;
esac
end=$((SECONDS + 10#$1))
out=${2:?gpu.sh: give a folder OUT}
shift 2
root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3}
small=${REHEARSE:-}
data=${DATA:-folder:cifar10-jpeg.tar.xz}
scratch=$(mktemp -d)
mkdir -p "$out"
export PYTHONUNBUFFERED=1 PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH}
# compiled code is kept for all processes and for the next call
export POLYMGNET_CACHE=${POLYMGNET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/polymgnet}
export TORCHINDUCTOR_CACHE_DIR=${TORCHINDUCTOR_CACHE_DIR:-$POLYMGNET_CACHE/inductor}
export TORCHINDUCTOR_COMPILE_THREADS=${TORCHINDUCTOR_COMPILE_THREADS:-4} # in each of several processes
solver=("$python" "$root/benchmarks/gpu.py" ${small:+--rehearse})
steps=("$python" "$root/benchmarks/train.py" --out "$scratch" --repeats 3 --steps 20)
models="q2 g4 g6 q8 mgnet resnet18"
run=("$python" -m polymgnet train --config fast --set placement=regular --set init=constant
    --set tensorboard=false --set "data=$data" --no-report)
if [ -n "$small" ]; then
    export TRITON_INTERPRET=1
    steps=("$python" "$root/benchmarks/train.py" --out "$scratch" --repeats 1 --steps 1 --device cpu --batch 2)
    models=q2
    run+=(--set width=2 --set levels=2 --set batch_size=256 --set train.accelerator=cpu)
fi
failed=0

# part NAME LIMIT COMMAND...: its lines on the terminal and in OUT/NAME.txt
part() {
    local name=$1 limit=$2 began=$SECONDS status
    shift 2
    [ "$limit" -le $((end - SECONDS)) ] || limit=$((end - SECONDS))
    if [ "$limit" -lt 1 ]; then
        echo "== $name: no time is left"
        return
    fi
    timeout --signal=TERM --kill-after=10 "$limit" "$@" 2>&1 | tee -a "$out/$name.txt"
    status=${PIPESTATUS[0]}
    [ "$status" -eq 0 ] || failed=1
    echo "== $name: status $status, $((SECONDS - began)) of $limit s" | tee -a "$out/$name.txt"
}

compile() {
    local model warm=("${steps[@]}" --rows models --warm)
    for model in $models; do
        timeout 200 "${warm[@]}" --models "$model" &
    done
    if [ -z "$small" ]; then # other sizes of a batch: of training, and of runs
        timeout 200 "${warm[@]}" --models q2 --batch 128 &
        timeout 200 "${warm[@]}" --models q2 --batch 512 &
    fi
    wait
}

if [ $# -eq 0 ]; then
    set -- kernels solver training models runs tune studies
fi
for name in "$@"; do
    case $name in
    kernels)
        compile >>"$out/kernels.txt" 2>&1 &
        part kernels 150 "${solver[@]}" --kernels
        wait # timings want a quiet machine
        ;;
    solver) part solver 150 "${solver[@]}" --no-cpu ;;
    training) part training 150 "${steps[@]}" ;;
    models)
        part models 150 "${steps[@]}" --rows models --models "${models// /,}"
        part models 60 "${steps[@]}" --rows operators
        ;;
    runs)
        part runs 90 "${run[@]}" --set epochs=1 --out "$scratch/run"
        part runs 90 "${run[@]}" --set epochs=2 --out "$scratch/run" --resume
        part runs 60 "${run[@]}" --set epochs=1 --set compile=false --out "$scratch/eager"
        ;;
    tune) part tune 130 "${solver[@]}" --tune ;;
    studies)
        minutes=$(((end - SECONDS - 20) / 60))
        [ -n "$small" ] || part studies $((minutes * 60 + 20)) env POLYMGNET="$python -m polymgnet" \
            "$root/studies/gpu.sh" "$minutes"
        tar -czf "$out/rows.tar.gz" -C "$root/studies" rows
        ;;
    *)
        echo "gpu.sh: no part '$name'; they are kernels, solver, training, models, runs, tune, studies" >&2
        exit 2
        ;;
    esac
done
rm -rf "$scratch"
exit "$failed"
