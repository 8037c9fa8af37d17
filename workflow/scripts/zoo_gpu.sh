#!/usr/bin/env bash
# Trains the nano models on one GPU, in parts of at most ten minutes.
#
#   workflow/scripts/zoo_gpu.sh [ROLE ...]     all roles, in the order they need, if none is named
#
# One call is one part: when the time is up the training saves its state, and the same call goes on
# from there, with the same result as without the break. Exit status 0: all of the roles are trained;
# 75: call again; else that of the training that failed.
#
# Environment: ZOO_SECONDS a part takes (570), ZOO_MODELS (results/zoo/models) and ZOO_WORK
# (results/zoo/work) as for `animate124 zoo train`, ZOO_SET more settings for all roles, such as
# "train.steps=2 batch=4" for a trial, PYTHON (python).
set -euo pipefail

seconds=${ZOO_SECONDS:-570}
models=${ZOO_MODELS:-results/zoo/models}
work=${ZOO_WORK:-results/zoo/work}
python=${PYTHON:-python}
grace=25 # seconds to save in

# Batches that keep a large GPU and the cores that render for it busy.
settings() {
    case $1 in
        autoencoder) echo batch=192 train.steps=12000 ;;
        embedding) echo batch=192 train.steps=2500 ;;
        text-to-image) echo batch=240 train.steps=6000 ;;
        novel-view) echo batch=160 train.steps=8000 ;;
        multi-view-video) echo batch=8 train.steps=14000 ;;
        action-recognition) echo batch=192 train.steps=2500 ;;
        tile-control) echo batch=160 train.steps=3000 ;;
        depth | matting) echo batch=128 train.steps=6000 ;;
        *) ;; # the program says what is known
    esac
}

if (($# == 0)); then
    read -ra roles < <("$python" -c "from animate124.zoo.roles import MODULES; print(*MODULES)")
    set -- "${roles[@]}"
fi
for role; do
    if [[ -e $models/$role/card.json && ! -e $work/$role/checkpoint.safetensors ]]; then
        continue
    fi
    left=$((seconds - SECONDS))
    if ((left <= 0)); then
        exit 75
    fi
    options=()
    for setting in $(settings "$role") train.checkpoint_seconds=60 ${ZOO_SET:-}; do
        options+=(--set "$setting")
    done
    status=0
    timeout --kill-after=$grace "$left" "$python" -m animate124 zoo train "$role" \
        --models "$models" --work "$work/$role" "${options[@]}" || status=$?
    case $status in
        0) ;;
        124 | 137 | 143) # out of time: saved, or at worst killed a minute after a checkpoint
            echo "$role is not finished yet: call again to go on." >&2
            exit 75
            ;;
        *) exit "$status" ;;
    esac
done
