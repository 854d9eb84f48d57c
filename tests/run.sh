#!/usr/bin/env bash
# Everything that must hold, fastest first. `quick` stops after the unit tests; `--long` adds the
# runs that take longer than CI may; `oracles` is only the correlation oracles, PICKET_TEST_CASES of
# each type, with what they say. The last lines count what passed, failed and was skipped, and
# say what was not there to be tested.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

quick= long= only=
for argument in "$@"; do
	case "$argument" in
	quick) quick=1 ;;
	--long | long) long=1 ;;
	oracles) only=oracles ;;
	*)
		echo "tests/run.sh: unknown argument $argument (quick, --long, oracles)" >&2
		exit 64
		;;
	esac
done

passed=0 failed=0 skipped=0
notes=()
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:abort_on_error=0}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}

# stage NAME EXPECTED COMMAND...: runs a command. Its exit code decides; a line "N passed, N failed,
# N skipped" in its output is added to the totals, otherwise it counts as one.
stage() {
	local name=$1 expected=$2 log counted code start
	shift 2
	log="$logs/$(tr -c 'a-z0-9\n' '_' <<<"$name")"
	printf '\033[1m==> %s\033[0m (about %s)\n' "$name" "$expected"
	start=$SECONDS
	"$@" >"$log" 2>&1
	code=$?
	counted=$(grep -E '^([a-z]+: )?[0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?$' "$log" | tail -n 1)
	if [ -n "$counted" ]; then
		passed=$((passed + $(grep -oE '[0-9]+ passed' <<<"$counted" | grep -oE '[0-9]+')))
		failed=$((failed + $(grep -oE '[0-9]+ failed' <<<"$counted" | grep -oE '[0-9]+')))
		[[ $counted == *skipped ]] &&
			skipped=$((skipped + $(grep -oE '[0-9]+ skipped' <<<"$counted" | grep -oE '[0-9]+')))
	elif [ $code -eq 0 ]; then
		passed=$((passed + 1))
	fi
	if [ $code -ne 0 ]; then
		[ -z "$counted" ] || [[ $counted == *" 0 failed"* ]] && failed=$((failed + 1))
		grep -E -A 8 '^ +FAIL ' "$log" | head -n 60 # of a long run the end alone tells too little
		tail -n 60 "$log"
		printf '    FAILED (exit %d) after %d s\n' "$code" $((SECONDS - start))
	else
		printf '    %s in %d s\n' "${counted:-passed}" $((SECONDS - start))
	fi
	while IFS= read -r line; do notes+=("$name: $line"); done < <(grep -E '^SKIP ' "$log" | sort -u)
	return $code
}

finish() {
	local note
	echo
	for note in "${notes[@]}"; do echo "$note"; done
	echo "$passed passed, $failed failed, $skipped skipped"
	[ $failed -eq 0 ]
	exit
}

# Runs ctest and prints its count in our form; a test that printed SKIP lines still counts as run.
run_ctest() {
	local preset=$1 output total bad skips
	shift
	output=$(ctest --preset "$preset" --output-on-failure -j "$(nproc)" "$@" 2>&1)
	local code=$?
	echo "$output"
	grep -h '^SKIP ' "build/$preset/Testing/Temporary/LastTest.log" 2>/dev/null | sort -u
	total=$(grep -oE 'out of [0-9]+' <<<"$output" | tail -n 1 | grep -oE '[0-9]+')
	bad=$(grep -oE '[0-9]+ tests failed' <<<"$output" | tail -n 1 | grep -oE '[0-9]+')
	skips=$(grep -h -c '^SKIP ' "build/$preset/Testing/Temporary/LastTest.log" 2>/dev/null)
	echo "$((${total:-0} - ${bad:-0})) passed, ${bad:-0} failed, ${skips:-0} skipped"
	[ "${total:-0}" -gt 0 ] && return $code
}

# build_preset PRESET TARGET...
build_preset() {
	local preset=$1
	shift
	[ -f "build/$preset/build.ninja" ] || cmake --preset "$preset" || return
	cmake --build --preset "$preset" --target "$@"
}

# The oracles of correlation, the slowest first: as many cases as PICKET_TEST_CASES says, without
# sanitizers, on all of the processors. Those of `sets` judge a list by several rules.
oracle_sets=(test_correlate_{gated_oracle,actor_oracle,values_oracle,risk,cohort_oracle})
oracle_tests=(test_correlate_{first_seen,panes,travel,baseline,absence,sequence})
oracle() {
	local TIMEFORMAT='%U s of CPU'
	{ time nice -n 19 "build/release/$1"; } 2>&1 | sed "s/^/$1: /"
}
oracles() {
	export -f oracle
	printf '%s\n' "$@" |
		xargs -P "$(nproc)" -I TEST bash -c 'set -o pipefail; oracle TEST'
}

# The drills of the gate mostly wait: they run beside the other end-to-end tests.
drills_begin() { tests/e2e/mock.sh drills pending >"$logs/drills" 2>&1 & drills=$!; }
drills_end() {
	wait "$drills"
	local code=$?
	cat "$logs/drills"
	return $code
}

if [ "$only" = oracles ]; then
	build_preset release "${oracle_sets[@]}" "${oracle_tests[@]}" &&
		oracles "${oracle_sets[@]}" "${oracle_tests[@]}"
	exit
fi

stage "lint" "2 s" python3 tests/lint/lint.py
stage "build, gcc with ASan and UBSan" "2 min" build_preset dev all unit_tests || finish
stage "unit tests, gcc with ASan and UBSan" "$([ -n "$quick" ] && echo 20 s || echo 4 min)" \
	run_ctest dev ${quick:+-LE slow}
stage "a second reader of OpenTelemetry's protobuf: Google's" "5 s" \
	tests/ingest/otlp_oracle.py build/dev/otlp_values $([ -z "$long" ] || echo 40000)
stage "the shipped rules' own tests" "2 s" build/dev/picket rules test rules/packs
stage "MozDef's alerts as rules of ours: their own tests" "2 s" build/dev/picket rules test \
	--formats tests/ingest/mozdef/formats tests/ingest/mozdef/rules
[ -n "$quick" ] && finish

stage "build, release" "2 min" build_preset release all "${oracle_sets[@]}" "${oracle_tests[@]}" || finish
stage "a second oracle: pySigma reads the SigmaHQ rules" "1 min" \
	tests/rules/oracle/run.py ${long:+--long}
stage "the same for processing pipelines" "10 s" \
	tests/e2e/pipelines.py build/release/picket $([ -n "$long" ] && echo 400 || echo 40 20261122)
PICKET_TEST_CASES=20000 stage "correlation, 20,000 cases of each type alone" "30 s" \
	oracles "${oracle_tests[@]}"
PICKET_TEST_CASES=7000 stage "correlation, 7,000 cases of many rules at once" "25 s" \
	oracles "${oracle_sets[@]}"
drills_begin
stage "end to end on the mock broker" "3 min" tests/e2e/mock.sh
stage "end to end on a real Apache Kafka" "4 min" \
	env ${long:+PICKET_TEST_COLLECTOR=build} tests/e2e/real.sh
stage "canaries in trouble, end to end" "4 min, mostly over by now" drills_end
stage "build, clang with ASan and UBSan" "2 min" build_preset clang all unit_tests
PICKET_TEST_SEEDS=20 stage "unit tests, clang with ASan and UBSan" "3 min" run_ctest clang
stage "build, ThreadSanitizer" "2 min" build_preset tsan test_ingest_runtime test_ingest_reload \
	test_ingest_queue test_ingest_knowledge test_sim_simulation
PICKET_TEST_SEEDS=20 stage "threads over files and made-up worlds, ThreadSanitizer" "1 min" \
	run_ctest tsan -R 'runtime|reload|queue|knowledge|simulation'
if [ -n "$long" ]; then
	stage "build, the tests without sanitizers" "3 min" build_preset release unit_tests
	stage "fuzzing, one minute per target" "20 min" ./dev fuzz 1
	PICKET_LONG=1 PICKET_TEST_RECORDS=100000 stage "unit tests, long" "20 min" run_ctest release
	PICKET_TEST_GROUPS=5000000 stage "a flood of 5,000,000 groups beside a slow attack" "1 min" \
		build/release/test_correlate_tiers
	PICKET_TEST_DEPLOYS=10000 stage "signals of security over 10,000 releases of a kind" "15 min" \
		run_ctest release -R signal_sim
	PICKET_TEST_NEEDLE=1000000 stage "one event among 1,000,000 before the gate" "1 min" \
		tests/e2e/mock.sh needle
	PICKET_TEST_KILLS=1000 stage "1,000 SIGKILLs over files" "10 min" tests/e2e/mock.sh files
	PICKET_LONG=1 PICKET_TEST_CASES=1000000 stage "correlation, 1,000,000 cases of every type" \
		"75 min on two processors" oracles "${oracle_sets[@]}" "${oracle_tests[@]}"
fi
finish
