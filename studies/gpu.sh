#!/usr/bin/env bash
# Fill in what the studies miss at their scale "gpu", for so many minutes on one GPU.
#
#   studies/gpu.sh MINUTES [FILE...]
#
# FILEs are studies/*.toml with a scale of that name, all of them by default, in this order: what is
# missing of the first before the second. Rows are added to studies/rows as runs finish; commit them,
# and the same command goes on from there on any machine. When the time is over, runs that are on
# their way save their state in their folders. How many runs a file misses, and about how long they
# take, says `polymgnet study FILE --scale gpu --status`.
#
# POLYMGNET    the command, if it is not polymgnet
# SCALE        another scale (gpu)
# JOBS         processes that share the GPU (4); each has its part of the cores
set -euo pipefail
case "${1:-}" in
"" | *[!0-9]*)
    echo "gpu.sh: got '${1:-}' minutes, must be a whole number: studies/gpu.sh MINUTES [FILE...]" >&2
    exit 2
    ;;
esac
end=$((SECONDS + 60 * 10#$1))
shift
here=$(cd "$(dirname "$0")" && pwd)
scale=${SCALE:-gpu}
if [ $# -eq 0 ]; then
    for name in starts levels pareto rates coefficients degree placement steps operator; do
        set -- "$@" "$here/$name.toml"
    done
fi
# compiled code is kept by model, for all processes and for the next call
export TORCHINDUCTOR_CACHE_DIR=${TORCHINDUCTOR_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/polymgnet/inductor}
export TORCHINDUCTOR_FX_GRAPH_CACHE=1
read -ra command <<<"${POLYMGNET:-polymgnet}"
for file in "$@"; do
    left=$((end - SECONDS))
    [ "$left" -gt 0 ] || break
    status=0
    timeout --signal=TERM "$left" "${command[@]}" study "$file" --scale "$scale" --jobs "${JOBS:-4}" || status=$?
    case $status in
    0 | 1) ;; # 1: a run failed and is named above; the others go on
    124) break ;; # the time is over
    *) exit "$status" ;;
    esac
done
echo "gpu.sh: rows are in $here/rows; polymgnet study FILE --report docs/studies draws the pages" >&2
