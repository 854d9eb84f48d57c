# shellcheck shell=bash
# A canary is waiting for its PASS, and something breaks: picket must never say PASS while it is blind,
# and must say that it is blind within max_lag and one bucket. Sourced by tests/e2e/mock.sh.

DRILL_SECONDS=55
DRILL_MAX_LAG=15

drill_policy() {
	cat >"$work/drill.policy.yml" <<-YAML
	name: drill
	bake: 45s
	max_lag: ${DRILL_MAX_LAG}s
	outcomes:
	    http_5xx: {p_abs: 0.05}
	    authn_failure: {p_abs: 0.05}
	    authz_denied: {p_abs: 0.05}
	YAML
}

drill_watch() {
	python3 "$here/drills.py" watch "$(node_data drill)/picket.sock" drill "$@"
}

drill_said() { sed -n "s/^$1: //p" "$work/drill.said"; }

# drill_verdict SERVICE: what the gate says now.
drill_verdict() { drill_watch 0.1 "$1" | awk '{print $NF}'; }

drill_is() { [ "$(drill_verdict "$1")" = "$2" ]; }

# drill_stays SERVICE VERDICT: it says so now and for four seconds.
drill_stays() { drill_is "$@" && [ "$(drill_watch 4 "$1" | cut -d ' ' -f 3-)" = "$2" ]; }

# blind TEXT COMMAND...: after the command, the healthy canary is STALE within max_lag, a bucket and a poll, and
# stays so. Until then it may be anything: right after a start picket lags by about as much as max_lag allows.
blind() {
	local text=$1 began=$SECONDS limit=$((DRILL_MAX_LAG + 11))
	shift
	"$@"
	assert_ok "$text: the gate says STALE, and stays so" wait_for $((limit + 5)) drill_stays healthy STALE
	assert_ok "$text: within max_lag, a bucket and a poll" [ $((SECONDS - began - 4)) -le $limit ]
}

# drill_judge SERVICE: judged in earnest, which a later canary of another service is told of.
drill_judge() {
	node drill gate --service "$1" --canary v2 --baseline v1 --policy drill 2>/dev/null
}

# Four services break at once: three canaries FAIL, and then it is more likely what they share.
drill_common_cause() {
	local service
	for service in broken_1 broken_2 broken_3; do
		assert_match "$service: FAIL" '^FAIL:' "$(drill_judge $service)"
	done
	assert_match "broken_4, the fourth within ten minutes: a person looks" \
		'^INCONCLUSIVE:' "$(drill_judge broken_4)"
	assert_match "and is told why" 'COMMON_CAUSE' "$(drill_judge broken_4)"
	assert_match "broken_1 stays a FAIL" '^FAIL:' "$(drill_judge broken_1)"
}

part_drills() {
	section "canaries in trouble"
	local service socket
	mock_start logs-drill:4
	drill_policy
	node_config drill "$BROKER" logs-drill "lateness: 2s
gate: {policies: [$work/drill.policy.yml]}
provenance: {sequences: true, silent_after: 30s}"
	assert_ok "the daemon starts" node_start drill
	mkdir -p "$work/drills"
	python3 "$here/drills.py" traffic "$BROKER" "$work/drills" 40 2>"$work/drills.log" &
	e2e_pids[traffic]=$!
	sleep 6
	touch "$work/drills/fault"
	drill_watch $DRILL_SECONDS healthy quiet_pod quiet_canary clock_behind clock_ahead lossy torn \
		>"$work/drill.said"
	sed 's/^/    /' "$work/drill.said"
	assert_match "the healthy canary passes: the drill is one" '^[0-9]+ .*PASS$' "$(drill_said healthy)"
	for service in quiet_pod quiet_canary clock_behind clock_ahead lossy torn; do
		assert_match "$service: never PASS" '^- ' "$(drill_said $service)"
	done
	assert_match "clock_ahead: and it says why" 'CLOCK:' \
		"$(node drill gate --service clock_ahead --canary v2 --baseline v1 --policy drill 2>/dev/null)"
	assert_match "lossy: and it says why" 'GAP:' \
		"$(node drill gate --service lossy --canary v2 --baseline v1 --policy drill 2>/dev/null)"
	drill_common_cause
	assert_match "a replay of half a minute ago: not yet" '^(WAIT|STALE):' \
		"$(node drill gate --service healthy --canary v2 --baseline v1 --policy drill \
			--at "$(date -u -d '-40 seconds' +%Y-%m-%dT%H:%M:%SZ)" 2>/dev/null)"
	blind "a broker that hangs" kill -STOP "${e2e_pids[mock]}"
	kill -CONT "${e2e_pids[mock]}"
	assert_ok "it goes on: PASS again" wait_for 60 drill_is healthy PASS
	kill -STOP "${e2e_pids[drill]}"
	assert_match "a daemon that hangs: UNAVAILABLE" UNAVAILABLE "$(drill_verdict healthy)"
	kill -CONT "${e2e_pids[drill]}"
	node_kill drill
	assert_equal "a daemon that was killed: UNAVAILABLE" UNAVAILABLE "$(drill_verdict healthy)"
	assert_ok "it starts again" node_start drill
	assert_ok "caught up: PASS again, with the evidence of before" wait_for 60 drill_is healthy PASS
	blind "a broker that is gone" mock_stop
	touch "$work/drills/stop"
	kill "${e2e_pids[traffic]}" 2>/dev/null
	wait "${e2e_pids[traffic]}" 2>/dev/null
	unset 'e2e_pids[traffic]'
	node_stop drill
}
