#!/usr/bin/env bash
# The main job from nothing, in minutes on two cores: words and motion in, a fine-tuned language model out, and a page
# that shows what it does. `make demo` runs it. A stage whose output is there already is not run again; remove
# outputs/demo to start over.
set -euo pipefail
cd "$(dirname "$0")/.."
OUT=${OUT:-outputs/demo}
HOURS=${HOURS:-6}
started=$(date +%s)

stage() { printf '\n\033[1m[%s, %d s] %s\033[0m\n' "$1" "$(($(date +%s) - started))" "$2"; }
# Models this small gain from two threads and no more. On a GPU the same commands use it.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-2} GOMP_SPINCOUNT=20000 TOKENIZERS_PARALLELISM=false
launch() { accelerate launch --quiet --num_processes 1 --num_machines 1 --mixed_precision no --dynamo_backend no "$@"; }

stage 1/6 "corpus: $HOURS hours of performed motion with words"
[ -e "$OUT/corpus/corpus.json" ] || facelm corpus synth --hours "$HOURS" --seed 0 --out "$OUT/corpus" --workers 2

stage 2/6 "motion tokenizer"
[ -e "$OUT/tokenizer/config.json" ] ||
  launch recipes/tokenizer.py --config recipes/nano/tokenizer.yaml --corpus "$OUT/corpus" --out "$OUT/tokenizer"

stage 3/6 "base model: nano, its words learnt from the corpus, its weights random"
[ -e "$OUT/base/config.json" ] || facelm base nano --corpus "$OUT/corpus" --out "$OUT/base"

stage 4/6 "pretraining: all weights"
[ -e "$OUT/pretrained/facelm.json" ] || launch recipes/sft.py --config recipes/nano/pretrain.yaml \
  --base "$OUT/base" --corpus "$OUT/corpus" --motion_tokenizer "$OUT/tokenizer" --out "$OUT/pretrained"

stage 5/6 "instruction tuning: LoRA, the recipe a large model uses"
[ -e "$OUT/model/facelm.json" ] || launch recipes/sft.py --config recipes/nano/sft.yaml \
  --base "$OUT/pretrained" --corpus "$OUT/corpus" --motion_tokenizer "$OUT/tokenizer" --out "$OUT/model"

stage 6/6 "scores and page"
[ -e "$OUT/scores.json" ] ||
  facelm evaluate "$OUT/model" --data "$OUT/corpus" --out "$OUT/scores.json" --report "$OUT/report"
python recipes/demo_page.py --folder "$OUT"

stage done "open $OUT/index.html"
