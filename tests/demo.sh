#!/bin/bash
# Two minutes of live digits: an RTSP camera and an RTSP microphone, cmptd, a broker, and a screen that
# shows what comes out while the sensors fail one after the other. Exit 0 only if no window was lost.
# usage: demo.sh BINARIES MNIST, from the project's root
set -euo pipefail

binaries=$1
mnist=$2
voice=/usr/share/asterisk/sounds/en_US_f_Allison/digits
seconds=120
PATH=$PATH:/usr/sbin # where Debian keeps mosquitto
work=$(mktemp -d)
pids=()

# Ends what was started here, the latest first, and shows the logs if something went wrong.
# shellcheck disable=SC2317,SC2329 # the trap calls it
cleanup() {
    local status=$? pid
    trap - EXIT INT TERM
    for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
        pid=${pids[i]}
        kill "$pid" 2>/dev/null || continue
        # Draining takes a moment, but not longer than this.
        for _ in {1..100}; do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
        kill -KILL "$pid" 2>/dev/null || true
    done
    if ((status != 0 && status != 130)); then
        tail -n 20 "$work"/*.log >&2
    fi
    rm -rf "$work"
    exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# start NAME COMMAND...: in the background, what it says in NAME.log, its process in $pid.
start() {
    local name=$1
    shift
    "$@" >"$work/$name.log" 2>&1 &
    pid=$!
    pids+=("$pid")
}

# await NAME CONDITION...: until the condition holds, which is up to what was started last.
await() {
    local name=$1
    shift
    for _ in {1..150}; do
        "$@" && return
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    echo "demo: $name did not start" >&2
    exit 69
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# What process $1 has cost since it began, by the kernel's account.
cost() {
    local peak share
    peak=$(awk '/^VmHWM/ { printf "%.0f", $2 / 1024 }' "/proc/$1/status")
    share=$(awk -v hz="$(getconf CLK_TCK)" -v up="$(cut -d ' ' -f 1 /proc/uptime)" \
        '{ printf "%.1f", 100 * ($14 + $15) / hz / (up - $22 / hz) }' "/proc/$1/stat")
    echo "cmptd: at most $peak MiB resident, $share % of one core on average"
}

port=$(free_port)
{
    echo "listener $port 127.0.0.1"
    echo "allow_anonymous true"
    if ((EUID == 0)); then echo "user root"; fi
} >"$work/mosquitto.conf"
start mosquitto mosquitto -c "$work/mosquitto.conf"
await mosquitto grep -q running "$work/mosquitto.log"

cat >"$work/faults" <<'EOF'
camera pulled 20..40
camera frozen 50..65
microphone silent 75..90
camera pulled 100..105
microphone pulled 100..105
EOF
start play "$binaries/avdigits" play --mnist "$mnist" --speech "$voice" --seconds "$seconds" \
    --faults "$work/faults" --urls "$work/urls" --truth "$work/truth.jsonl"
await play test -s "$work/urls"
{ read -r camera && read -r microphone; } <"$work/urls"

cat >"$work/cmptd.toml" <<EOF
node = "demo"
[model]
bundle = "models/avdigits/1"
[publish.mqtt]
url = "mqtt://127.0.0.1:$port"
[[stream]]
id = "digits"
align = "clock" # a digit begins on every whole second of the wall clock
lateness_ms = 200
[[stream.source]]
uri = "$camera"
provides = ["video"]
[[stream.source]]
uri = "$microphone"
provides = ["audio"]
EOF
"$binaries/cmptd" check --config "$work/cmptd.toml" >/dev/null

echo "A camera and a microphone show and say one digit a second. The camera is pulled at second 20, and"
echo "freezes at 50; the microphone falls silent at 75; at 100 both are cut. Labels come over MQTT."
echo
mkfifo "$work/labels"
mosquitto_sub -h 127.0.0.1 -p "$port" -q 1 -t 'cmpt/#' -F '%t %p' -W $((seconds + 120)) \
    >"$work/labels" 2>"$work/subscriber.log" &
pids+=($!)
"$binaries/avdigits" watch --truth "$work/truth.jsonl" --seconds "$seconds" <"$work/labels" &
watch=$!
pids+=("$watch")
start cmptd "$binaries/cmptd" run --config "$work/cmptd.toml"
cmptd=$pid

status=0
wait -n -p ended "$watch" "$cmptd" || status=$?
if [[ $ended == "$cmptd" ]]; then
    echo "demo: cmptd ended early, with $status" >&2
    exit 70
fi
cost "$cmptd"
kill "$cmptd"
wait "$cmptd" || {
    echo "demo: cmptd did not end in good order: $?" >&2
    exit 70
}
exit "$status"
