#!/bin/sh
# The gate of a pipeline in plain shell: promotes on PASS only, rolls back on a proven FAIL only.
#
#   gate.sh SERVICE CANARY BASELINE PROMOTE ROLLBACK HOLD     the last three are commands
#
# PICKET_SERVER and PICKET_TOKEN_FILE say where picket is. GATE_BREAK_GLASS=reason promotes without
# asking, and says so.
set -u
[ $# -eq 6 ] || { echo "usage: gate.sh SERVICE CANARY BASELINE PROMOTE ROLLBACK HOLD" >&2; exit 64; }
service=$1 canary=$2 baseline=$3 promote=$4 rollback=$5 hold=$6
if [ -n "${GATE_BREAK_GLASS:-}" ]; then
	echo "gate skipped by hand: $GATE_BREAK_GLASS" >&2
	exec sh -c "$promote"
fi
answer=$(picket gate --service "$service" --canary "$canary" --baseline "$baseline" \
	--wait "${GATE_WAIT:-30m}" --format json)
code=$?
verdict=$(printf '%s' "$answer" | sed -n 's/.*"verdict":"\([A-Z]*\)".*/\1/p')
printf '%s\n' "$answer" | sed -n 's/.*"summary":"\([^"]*\)".*/\1/p' >&2
case $code:$verdict in
0:PASS) exec sh -c "$promote" ;;
1:FAIL) exec sh -c "$rollback" ;;
*) exec sh -c "$hold" ;;
esac
