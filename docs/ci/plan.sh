#!/bin/sh
# Tells what a change of a network description would do to the shaping.
#
#   plan.sh BASE HEAD OUT
#
# BASE and HEAD are directories with the description before and after the change; OUT gets plan.md, plan.xml (JUnit), plan.sarif,
# plan.json, plan.txt, the log that they come from, and refused.txt. Needs lqosd and bakery-replay in PATH, and no root, links or
# kernel modules: the daemon runs in file mode. What a directory holds decides how its network is sent:
#
#   network.jsonl                            requests, one a line (lqosd send)
#   network.json, ShapedDevices.csv          LibreQoS's files, by network.py beside this script (Python 3.9; bus/python of the checkout)
#   anything                                 where LQOS_SEND is set: that command, run in the directory, with the bus at $LQOSD_SOCKET
#
# A lqos.conf in the directory is the daemon's configuration. LQOSD_WAIT is how many seconds a daemon may take to start (60).
#
# Exit code 0: the plan is there, whether anything changes or not; 1: something of HEAD was refused, and the plan is of the rest;
# 2: there is no plan.
set -u
here=$(cd "$(dirname "$0")" && pwd)
daemon=

fail() {
	echo "plan.sh: $*" >&2
	exit 2
}

# clean ends what is left, whatever the script ends by. The state is in a directory with a short name: a socket's path has 107 bytes.
clean() {
	[ -z "$daemon" ] || kill "$daemon" 2>/dev/null
	rm -rf "$state"
}

# send sends the network of the directory it is in.
send() {
	if [ -n "${LQOS_SEND:-}" ]; then
		sh -c "$LQOS_SEND"
	elif [ -e network.jsonl ]; then
		lqosd send --socket "$LQOSD_SOCKET" --wait durable network.jsonl
	else
		python3 "$here/network.py"
	fi
}

# record has a daemon with the configuration in a directory take the network in it: record DIRECTORY REFUSALS.
record() {
	set -- "$1" "$2" serve --mode file --state-dir "$state" --socket "$LQOSD_SOCKET" --tc-file "$state/tc-rust.txt"
	[ ! -e "$1/lqos.conf" ] || set -- "$@" --config "$1/lqos.conf"
	dir=$1 refusals=$2
	shift 2
	lqosd "$@" 2>>"$out/lqosd.log" &
	daemon=$!
	tries=${LQOSD_WAIT:-60}
	until lqosd wait --socket "$LQOSD_SOCKET" --timeout 1s >/dev/null 2>&1; do
		tries=$((tries - 1))
		kill -0 "$daemon" 2>/dev/null && [ $tries -gt 0 ] || fail "no daemon with the configuration in $dir: $(tail -n 1 "$out/lqosd.log")"
	done
	(cd "$dir" && send) >"$refusals" 2>&1
	sent=$?
	lqosd wait --socket "$LQOSD_SOCKET" >"$state/seq" || fail "the daemon didn't answer after the network of $dir"
	kill "$daemon" && wait "$daemon" || fail "the daemon didn't end well: $(tail -n 1 "$out/lqosd.log")"
	daemon=
	return $sent
}

# plan compares the two in one format: plan FORMAT FILE. Clients tell hardly any names of sites: the description has them.
plan() {
	set -- "$1" "$2" diff "$state/eventlog" --from "$before" --to now --format "$1" -o "$out/$2"
	for names in "$state/names-base.json" "$state/names-head.json"; do
		[ ! -e "$names" ] || set -- "$@" --names "$names"
	done
	shift 2
	bakery-replay "$@"
	[ $? -le 1 ] || fail "comparing"
}

[ $# = 3 ] || fail "usage: plan.sh BASE HEAD OUT"
base=$(cd "$1" && pwd) && head=$(cd "$2" && pwd) && mkdir -p "$3" && out=$(cd "$3" && pwd) || fail "BASE and HEAD must be directories"
state=$(mktemp -d) || fail "no temporary directory"
trap clean EXIT
trap 'exit 2' INT TERM
LQOSD_SOCKET=$state/bus
PYTHONPATH=${PYTHONPATH:+$PYTHONPATH:}$here/../../bus/python # for what LQOS_SEND may run, too
export LQOSD_SOCKET PYTHONPATH
: >"$out/lqosd.log"

record "$base" "$out/refused-base.txt" || echo "plan.sh: the network before the change has mistakes of its own: refused-base.txt" >&2
before=$(cat "$state/seq")
code=0
record "$head" "$out/refused.txt" || code=1

# A network.json with mistakes has no names; why it was refused is in refused.txt.
for side in base head; do
	eval "names=\$$side/network.json"
	if [ -e "$names" ] && bakery-replay tree "$state/eventlog" --depth 1 --names "$names" >/dev/null 2>&1; then
		cp "$names" "$state/names-$side.json"
	fi
done

plan text plan.txt
plan json plan.json
plan junit plan.xml
plan sarif plan.sarif
plan markdown plan.md
if [ $code = 1 ]; then
	{
		echo "**Refused.** The plan is of what was taken."
		echo '```'
		head -n 20 "$out/refused.txt"
		echo '```'
		cat "$out/plan.md"
	} >"$state/plan.md" && cp "$state/plan.md" "$out/plan.md"
fi
rm -rf "$out/eventlog"
bakery-replay copy "$state/eventlog" -o "$out/eventlog" || fail "copying the log"
exit $code
