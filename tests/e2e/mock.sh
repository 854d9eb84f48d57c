#!/usr/bin/env bash
# picket from end to end, on librdkafka's mock cluster (real protocol, not a Kafka) and on files.
#
#   tests/e2e/mock.sh [PART...]     parts: demo kill poison files wal input faults disk store scan reload api
#                                   alerting controllers signals needle nezha custody lists bomb loop
#                                   doctor page install; all; drills, pending (only by name: they take 2
#                                   min each, waiting)
#
# PICKET_BUILD is the folder with the programs (build/release). E2E_KEEP=1 keeps the files,
# E2E_SEED=N repeats the moments of the SIGKILLs. E2E_SCENES="slow gone" plays these of `pending`.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/lib.sh"
. "$here/mock_kill.sh"
. "$here/mock_poison.sh"
. "$here/mock_input.sh"
. "$here/mock_faults.sh"
. "$here/mock_scan.sh"
. "$here/mock_reload.sh"
. "$here/mock_alerting.sh"
. "$here/mock_provenance.sh"
. "$here/mock_page.sh"
. "$here/mock_drills.sh"
. "$here/mock_pending.sh"
. "$here/mock_store.sh"

all_parts=(scan page reload faults poison disk store api alerting controllers signals needle custody lists bomb loop doctor
	install input wal files kill demo)

part_demo() {
	section "the demo, played in 20 s"
	PICKET_DEMO_PLAY=20s PICKET_DEMO_DIR="$work/demo" \
		assert_ok "cli/demo.sh --check keeps its promises" \
		"$e2e_root/cli/demo.sh" "$e2e_build" --check
	grep -E 'NOT as promised|log:' "$work/out"
	return 0
}

part_controllers() {
	section "the gate as Argo Rollouts, Flagger and Spinnaker ask it"
	assert_ok "their contracts hold" python3 "$here/controllers.py" "$e2e_build/picket" "$work/controllers"
	grep WRONG "$work/out"
	return 0
}

part_signals() {
	section "one event of each hard signal, from a file to the verdict"
	assert_ok "the verdicts are as promised" python3 "$here/signals.py" "$e2e_build/picket" "$work/signals"
	grep WRONG "$work/out"
	return 0
}

part_needle() {
	section "one event among many, from a file to the verdict"
	assert_ok "it is found, named, and nothing else is" python3 "$here/needle.py" \
		"$e2e_build/picket" "$work/needle" "${PICKET_TEST_NEEDLE:-20000}"
	grep -E 'WRONG|CPU' "$work/out"
	return 0
}

part_files() {
	section "SIGKILL over files, one rule of each correlation type"
	assert_ok "the alerts are those of the run nobody disturbed" python3 "$here/kills.py" \
		"$e2e_build/picket" "$work/files" "${PICKET_TEST_KILLS:-8}" "${E2E_SEED:-20261122}"
	grep -E 'WRONG|SIGKILLs' "$work/out"
	return 0
}

part_nezha() {
	section "recorded services with injected faults before the gate"
	local code
	python3 "$here/nezha.py" "$e2e_build/picket" "$work/nezha" >"$work/out" 2>&1
	code=$?
	if [ $code -eq 2 ]; then
		skip "Nezha TrainTicket: PICKET_DATA does not hold it"
	else
		assert_equal "none passes with a fault, none fails without" 0 $code
		grep -E 'canaries|FAIL|PASS' "$work/out"
	fi
}

part_install() {
	section "cmake --install"
	local home=$work/installed count
	assert_ok "installs" cmake --install "$e2e_build" --prefix "$home"
	assert_ok "the installed picket says its version" "$home/bin/picket" version
	assert_match "the version" '^picket [0-9]+\.[0-9]+' "$(cat "$work/out")"
	assert_ok "the installed packs load" "$home/bin/picket" rules lint "$home/share/picket/rules"
	count=$("$home/bin/picket" rules list --rules "$home/share/picket/rules" -o json | jq '.rules | length')
	assert_equal "as many rules as in the tree" \
		"$(grep -lr '^title:' "$e2e_root/rules/packs" --include='*.yml' | wc -l)" "$count"
}

e2e_begin mock
for part in "${@:-${all_parts[@]}}"; do
	declare -F "part_$part" >/dev/null || { echo "no part $part: ${all_parts[*]}"; exit 64; }
done
for part in "${@:-${all_parts[@]}}"; do "part_$part"; done
e2e_finish
