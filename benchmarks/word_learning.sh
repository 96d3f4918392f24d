#!/usr/bin/env bash
# What decoders of words learn on a simulated listener, with controls that must be at chance: see docs/log.md.
#
#     bash benchmarks/word_learning.sh FOLDER       two hours on two cores; runs that are finished are left out
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
mkdir -p "$1" && cd "$1"
cp "$here/word_learning.yaml" words.yaml

sessions() { python -c "print('[' + ','.join(f'ses-{n:02d}' for n in range($1, $2)) + ']')"; }

listener() { # SNR SESSIONS STORE: answers follow the vectors that are to be predicted; durations say nothing
    [ -d "$3" ] && return
    megxl simulate "heard-$3" --corpus recipe --system biosemi16 --sfreq 250 --minutes 15 --sessions "$2" --snr "$1" \
        --words-per-minute 80 --durations random --vectors vectors.npz
    megxl prepare simulated "heard-$3" --store "$3"
}

decode() { # NAME COMMAND OVERRIDES...
    [ -f "runs/$1/results.json" ] || megxl "$2" --config words.yaml run="runs/$1" overwrite=true "${@:3}"
}

python - <<'PY'
import numpy as np
from megxl.corpora.simulation.story import vocabulary
from megxl.decoding.targets import open_encoder

words = sorted(vocabulary())
np.savez("vectors.npz", word_W=np.array(words), vector_WD=open_encoder("wordllama").encode(words).numpy())
PY

listener 8 24 store
heard=(corpora=simulated data.cache_dir=store datasets_config.simulated.sessions="$(sessions 1 13)"
    datasets_config.simulated.val_session=[ses-12] datasets_config.simulated.split=null)
[ -d runs/codec/model ] || megxl tokenizer --config-name tokenizer_laptop "${heard[@]}" training.max_steps=1000 \
    run=runs/codec overwrite=true
[ -d runs/pretrained/model ] || megxl pretrain "${heard[@]}" model=tiny machine=laptop \
    data.segment_length=48 model.tokenizer_ckpt=runs/codec/model \
    model.mask_duration=0.48 model.mask_share=1.0 training.batch_size=8 training.max_steps=800 \
    training.learning_rate=3e-3 training.warmup_steps=50 trainer.val_check_interval=27 trainer.precision=32-true \
    training.num_workers=0 run=runs/pretrained overwrite=true

convolution=(model.backbone=convolution model.convolution_width=64 model.criss_cross_checkpoint=null)
for seed in 1 2 3; do
    decode "tuned-$seed" finetune seed=$seed training.num_epochs=12 training.patience=12
    decode "scratch-$seed" finetune seed=$seed training.num_epochs=12 training.patience=12 model.train_from_scratch=true
    decode "probe-$seed" probe seed=$seed
    decode "probe-mlp-$seed" probe seed=$seed model.head=mlp
    decode "probe-mlp-random-$seed" probe seed=$seed model.head=mlp control=random_backbone
    decode "probe-random-$seed" probe seed=$seed control=random_backbone
    decode "convolution-$seed" finetune seed=$seed "${convolution[@]}" training.num_epochs=10
    for control in noise time_shuffle shuffled_words duration_only; do
        decode "$control-$seed" finetune seed=$seed "${convolution[@]}" training.num_epochs=5 control=$control
    done
    for snr in 0 0.02 0.1 0.5; do
        listener "$snr" 12 "store-$snr"
        decode "snr-$snr-$seed" finetune seed=$seed "${convolution[@]}" training.num_epochs=10 \
            data.all_sessions=null data.cache_dir="store-$snr"
    done
done
decode frequency finetune control=frequency_only model.criss_cross_checkpoint=runs/pretrained/model
