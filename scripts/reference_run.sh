#!/usr/bin/env bash
# Make a leaderboard entry of one model: ask every set in both modes, judge, write the card, write the submission.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: scripts/reference_run.sh [OPTIONS] [-- OPTIONS OF INSPECT]

Measure a model and write its leaderboard entry. The defaults are Qwen3-4B on vLLM, judged by Qwen3Guard on the same GPU.
Run it again after an interruption: finished sets are kept, unfinished ones go on. A set that fails is not tried again by
itself (--retry-attempts N after -- does): a model that does not do what its mode asks would be refused each time.

  --model NAME            as Inspect names it                    [vllm/Qwen/Qwen3-4B]
  --public NAME           the model's public name, DEVELOPER/NAME  [--model without its engine]
  --family NAME           models that differ in size             [Qwen3]
  --parameters N          all parameters, such as 4e9            [4e9]
  --sets "SET ..."        prompt sets                            [xstest strong_reject advbench harmbench gsm8k math500]
  --judge NAME            judge of replies; refusal needs no grader  [qwen3guard]
  --grader MODEL          the judge's grader, - for none         [Qwen3Guard-Gen-8B on vLLM]
  --limit N               ask a random sample of N prompts of each larger set: at least 50, with xstest, which has two
                          kinds of prompts, at least 120
  --answer-tokens N       answer budget, both modes              [the project's default]
  --thinking-tokens N     thinking budget, on top                [the project's default]
  --data FOLDER           the publishers' files, for machines without network
  --out FOLDER            logs, card and entry                   [reference-run]
  --name NAME             file name of the entry                 [greedy]
  --weights, --deployment, --evaluator   as `rim-eval leaderboard add` takes them; left out, as it has them
  --dry-run               print the commands and run nothing

Options after -- go to every `inspect eval-set`, in place of the ones for vLLM below. A model in a folder:
  scripts/reference_run.sh --model hf/DEVELOPER/NAME --judge refusal --grader - --limit 120 -- -M model_path=FOLDER
TEXT
}

fail() {
  printf 'reference_run.sh: %s\nNext: scripts/reference_run.sh --help\n' "$1" >&2
  exit 2
}

model=vllm/Qwen/Qwen3-4B public='' family=Qwen3 parameters=4e9 name=greedy out=reference-run
sets='xstest strong_reject advbench harmbench gsm8k math500'
judge=qwen3guard limit='' answer_tokens='' thinking_tokens='' data='' dry_run=''
grader='{model: vllm/Qwen/Qwen3Guard-Gen-8B, model_args: {gpu_memory_utilization: 0.4, max_model_len: 8192}}'
about=()
engine=(-M reasoning_parser=qwen3 -M max_model_len=24576 -M gpu_memory_utilization=0.5 --max-connections 128)
described=''

while (($#)); do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --dry-run) dry_run=yes; shift; continue ;;
    --) shift; engine=("$@"); break ;;
    --model | --public | --family | --parameters | --sets | --judge | --grader | --limit | --answer-tokens | \
      --thinking-tokens | --data | --out | --name) ;;
    --weights | --deployment | --evaluator) about+=("$1" "${2-}") ;;
    *) fail "$1 is no option of this script; options of Inspect stand after --" ;;
  esac
  [[ -n ${2:-} ]] || fail "$1 needs a value"
  variable=${1#--}
  printf -v "${variable//-/_}" '%s' "$2"
  [[ $1 == --family || $1 == --parameters ]] && described+=" $1"
  shift 2
done

number() { [[ -z $2 || $2 =~ ^[1-9][0-9]*$ ]] || fail "$1 $2: a whole number of at least 1"; }
number --limit "$limit"
number --answer-tokens "$answer_tokens"
number --thinking-tokens "$thinking_tokens"
[[ -z $limit || $limit -ge 50 ]] || fail "--limit $limit: the leaderboard takes samples of at least 50 prompts of each kind"
# 200 of its 450 prompts are harmful; the seed draws 57 of them among 120.
[[ -z $limit || $limit -ge 120 || " $sets " != *' xstest '* ]] ||
  fail "--limit $limit: xstest has two kinds of prompts, and the leaderboard takes at least 50 of each; give at least 120"
[[ -n $sets ]] || fail '--sets names no set'
[[ $model == */* ]] || fail "--model $model names no engine, such as vllm/$model or hf/$model"
[[ $model == vllm/Qwen/Qwen3-4B || $described == *--family*--parameters* || $described == *--parameters*--family* ]] ||
  fail "of $model the entry needs --family and --parameters; the defaults are those of Qwen3-4B"
[[ -z $data || -d $data ]] || fail "--data $data is no folder"
public=${public:-${model#*/}}
[[ $public == */* ]] || fail "$public is no public name; give --public DEVELOPER/NAME"
[[ /$model == */$public ]] || fail "--model $model does not end with --public $public, and the card is named by the model"
for program in inspect rim-eval python3; do
  command -v "$program" >/dev/null || fail "$program is not on the PATH; activate the environment that rim_eval is installed in"
done

run() {
  printf '+'
  printf ' %q' "$@"
  printf '\n'
  [[ -n $dry_run ]] || "$@"
}

# Sets by kind: replies to problems are checked, all others are judged.
kinds=$(rim-eval data list --json | python3 -c '
import json, sys
print(*(each["name"] + "=" + each["kind"] for each in json.load(sys.stdin)))')
judged=() problems=()
for set in $sets; do
  case " $kinds " in
    *" $set=reasoning "*) problems+=("rim_eval/$set") ;;
    *" $set="*) judged+=("rim_eval/$set") ;;
    *) fail "$set is no prompt set (rim-eval data list)" ;;
  esac
done
((${#judged[@]} && ${#problems[@]})) || fail 'an entry needs a set of harmful prompts and a set of problems'

[[ -z $data ]] || export RIM_EVAL_DATA=$data
# shellcheck disable=SC2086  # names of sets, words of their own
run rim-eval data check $sets

common=(--model "$model" --retry-attempts 0 "${engine[@]}")
[[ -z $limit ]] || common+=(--limit "$limit" --sample-shuffle 42)
[[ -z $answer_tokens ]] || common+=(-T "answer_tokens=$answer_tokens")
[[ -z $thinking_tokens ]] || common+=(-T "thinking_tokens=$thinking_tokens")
by=(-T "judge=$judge")
[[ $grader == - ]] || by+=(--model-role "grader=$grader")
run inspect eval-set "${judged[@]}" --log-dir "$out/logs/judged" "${common[@]}" "${by[@]}"
run inspect eval-set "${problems[@]}" --log-dir "$out/logs/problems" "${common[@]}"

run rim-eval card "$out/logs" --out "$out/card"
run rim-eval leaderboard add "$out/card/card.json" --results "$out/entry" --name "$name" --model "$public" \
  --developer "${public%%/*}" --family "$family" --parameters "$parameters" \
  ${about[@]+"${about[@]}"}
[[ -n $dry_run ]] || echo "The entry is in $out/entry; copy its folder into leaderboard/results and run: rim-eval leaderboard check"
