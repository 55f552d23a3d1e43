#!/usr/bin/env bash
# One study on the nodes of a Slurm job: sbatch deploy/slurm.sh --data /shared/coco128.yaml --weights yolov5n.pt
#
# NEVER RUN under Slurm: none was at hand. The `ray start` and `hypevo` lines are those of docs/many-machines.md, which were. Start it
# from a folder that all nodes see, with an environment that has hypevo[ray]. When the job ends before the study, submit it again.
#SBATCH --job-name=hypevo
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --time=24:00:00
#SBATCH --signal=B:TERM@120
set -euo pipefail

RAY_AUTH_TOKEN="$(python -c 'import secrets; print(secrets.token_hex(32))')"
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN RAY_USAGE_STATS_ENABLED=0
mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
port=$((20000 + SLURM_JOB_ID % 20000))
address="$(getent hosts "${nodes[0]}" | awk '{ print $1; exit }'):$port"
common=(--block --num-gpus "${SLURM_GPUS_ON_NODE:-0}" --num-cpus "$SLURM_CPUS_PER_TASK" --disable-usage-stats)

srun --nodes=1 --ntasks=1 --nodelist="${nodes[0]}" ray start --head --port "$port" --include-dashboard false "${common[@]}" &
for _ in $(seq 60); do
  ray status --address "$address" >/dev/null 2>&1 && break
  sleep 2
done
for node in "${nodes[@]:1}"; do
  srun --nodes=1 --ntasks=1 --nodelist="$node" ray start --address "$address" "${common[@]}" &
done

# In the background, so that this shell can pass on the signal that Slurm sends before the end.
hypevo evolve --backend ray --address "$address" "$@" &
driver=$!
trap 'kill -TERM $driver' TERM
code=0
wait $driver || code=$?
wait $driver 2>/dev/null || true # after a signal: until it has ended
exit $code
