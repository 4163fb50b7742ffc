# Three namespaces on a bridge, a flood, and what it costs. Sourced by ./tests/flood/run, after tests/measure/lib.sh.

caller=visavis-$$-a called=visavis-$$-b attacker=visavis-$$-c hub=visavis-$$-hub

fail() { printf '%s\n' "$*" | tr '\n' ' ' >>"$directory/failures"; printf '\n' >>"$directory/failures"; }

# Ends what the script started and is still running, and takes the namespaces away.
clean_up() {
    local pid space
    for pid in $(jobs -p); do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    for space in "$caller" "$called" "$attacker" "$hub"; do
        ip netns del "$space" 2>/dev/null || true
    done
}

# connect: the caller is 10.77.0.1, the called side 10.77.0.2, the attacker 10.77.0.3 and any address of 198.18.0.0/15.
connect() {
    local number=0 other space
    ip netns add "$hub"
    ip -n "$hub" link add wire type bridge
    ip -n "$hub" link set wire up
    for space in "$caller" "$called" "$attacker"; do
        number=$((number + 1))
        ip netns add "$space"
        ip -n "$space" link set lo up
        ip -n "$space" link add wire address "02:00:00:00:00:0$number" type veth peer name "port$number" netns "$hub"
        ip -n "$hub" link set "port$number" master wire up
        ip -n "$space" address add "10.77.0.$number/24" dev wire
        ip -n "$space" link set wire up
        # Who is where is settled, whoever speaks in another's name.
        for other in 1 2 3; do
            [ "$other" = "$number" ] ||
                ip -n "$space" neigh replace "10.77.0.$other" lladdr "02:00:00:00:00:0$other" dev wire nud permanent
        done
        ip -n "$space" route add 198.18.0.0/15 via 10.77.0.3 2>/dev/null || true
        ip netns exec "$space" sh -c 'echo 0 >/proc/sys/net/ipv4/conf/wire/rp_filter; echo 0 >/proc/sys/net/ipv4/conf/all/rp_filter'
    done
    ip -n "$attacker" route del 198.18.0.0/15 2>/dev/null || true
    ip -n "$attacker" route add local 198.18.0.0/15 dev lo
    ip -n "$attacker" address add 10.77.0.1/32 dev lo
}

# peer SPACE SIDE ARGUMENT…: one side, its events and errors in files. One that does not end by itself is ended.
peer() {
    local space=$1 side=$2
    shift 2
    exec timeout --kill-after 5 $((length + 45)) ip netns exec "$space" visavis --json --profile "$directory/profile-$side" "$@" \
        --audio "$files/$side.wav" --video "$files/clip.y4m" \
        --audio-out "$directory/$side-heard.wav" --video-out "$directory/$side-seen.y4m@30" \
        </dev/null >>"$directory/$side.events" 2>>"$directory/$side.log"
}

# take WHAT: notes what the called side has used by now, and what went over the attacker's cable.
take() {
    local pid
    pid=$(ip netns pids "$called" | head -n 1)
    [ -n "$pid" ] || { fail "the called side is gone $1 the flood: $(tail -n 1 "$directory/b.log")"; return; }
    {
        printf '%s %s ' "$1" "$(date +%s.%N)"
        # proc(5): user and system time of the process in ticks, behind its name in parentheses.
        sed 's/.*) //' "/proc/$pid/stat" | awk '{ printf "%d ", $12 + $13 }'
        awk '/^VmRSS/ { printf "%d ", $2 }' "/proc/$pid/status"
        printf '%d ' "$(wc -l <"$directory/b.log")"
        ip netns exec "$attacker" cat /sys/class/net/wire/statistics/{tx,rx}_bytes | xargs
    } >>"$directory/samples"
}

# attack KIND FROM: floods the called side, or lets the time of a flood pass.
attack() {
    local kind=$1 from=$2 seen=()
    [ -n "$kind" ] || { sleep "$seconds"; printf '{}\n' >"$directory/flood.json"; return; }
    [ "$kind" != lookalike ] || seen=(--seen "$directory/seen.pcap")
    timeout --kill-after 5 $((seconds + 15)) nice -n 19 "${pinned[@]}" ip netns exec "$attacker" visavis-flood "$kind" \
        --to 10.77.0.2:8554 --from "$from" --seconds "$seconds" --count "$count" "${seen[@]}" \
        >"$directory/flood.json" 2>"$directory/flood.log" || fail "the flood failed: $(tail -n 1 "$directory/flood.log")"
}

# Notes the memory of the called side while a flood lasts.
watch_memory() {
    local pid
    pid=$(ip netns pids "$called" | head -n 1)
    while sleep 0.5 && [ -e "/proc/$pid/status" ]; do
        awk '/^VmRSS/ { print $2 }' "/proc/$pid/status" >>"$directory/memory" 2>/dev/null || true
    done
}

# Starts the called side, with every suite, so that the dear ones can be asked for.
called_side() {
    peer "$called" b answer "$@" --suites x25519-mlkem768,x25519,modp3072,modp2048 &
    answering=$!
    await "$directory/b.events" '"listening"' 15 || fail "the called side does not listen: $(tail -n 1 "$directory/b.log")"
}

# One flood between two moments at which everything is counted.
flood_now() {
    local watching
    take before
    watch_memory &
    watching=$!
    attack "$1" "$2"
    take during
    kill "$watching" 2>/dev/null || true
    wait "$watching" 2>/dev/null || true
}

# in_call KIND FROM: the two talk, and the called side is flooded.
in_call() {
    local calling status=0 patience=150
    called_side --auto=anyone --once
    peer "$caller" a call 10.77.0.2 --duration "$length" &
    calling=$!
    await "$directory/b.events" '"connected"' 15 || { fail "no call was connected: $(tail -n 1 "$directory/a.log")"; return; }
    sleep 2
    if [ "$1" = lookalike ]; then
        ip netns exec "$called" timeout 10 tcpdump -Z root -i wire -c 300 -w "$directory/seen.pcap" \
            'udp and src host 10.77.0.1' 2>"$directory/tcpdump.log" || fail "nothing was captured: $(tail -n 1 "$directory/tcpdump.log")"
    fi
    take settled
    sleep "$before"
    flood_now "$1" "$2"
    sleep "$after"
    take after
    wait "$calling" || status=$?
    [ "$status" = 0 ] || fail "the caller ended with exit status $status: $(tail -n 1 "$directory/a.log")"
    # The called side leaves after the call; one that does not is told to.
    while kill -0 "$answering" 2>/dev/null; do
        [ "$((patience -= 1))" -gt 0 ] || kill "$answering" 2>/dev/null || true
        sleep 0.1
    done
    status=0
    wait "$answering" || status=$?
    [ "$status" = 0 ] || fail "the called side ended with exit status $status: $(tail -n 1 "$directory/b.log")"
    measure "$files" "$directory" a b forth >"$directory/forth.log" 2>&1 &
    local measuring=$!
    measure "$files" "$directory" b a back >"$directory/back.log" 2>&1 || fail "back was not measured: $(tail -n 1 "$directory/back.log")"
    wait "$measuring" || fail "forth was not measured: $(tail -n 1 "$directory/forth.log")"
}

# in_wait KIND FROM: the called side waits for a contact, of whom it has the address.
in_wait() { contact_calls "$1" "$2" 10.77.0.1; }

# in_wait_anywhere KIND FROM: the same, but it does not know where the contact is.
in_wait_anywhere() { contact_calls "$1" "$2"; }

# contact_calls KIND FROM ADDRESS…: the called side waits, is flooded, and a contact of its calls in the middle of that, as a
# person would: until it gets through, ten times at most, a second apart.
contact_calls() {
    local flooding tries=0 start status=1 kind=$1 from=$2
    shift 2
    visavis --profile "$directory/profile-a" --json identity >"$directory/identity.json"
    visavis --profile "$directory/profile-b" contacts add ana "$@" --key \
        "$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["fingerprint"])' "$directory/identity.json")" >/dev/null
    called_side --auto=contacts
    take settled
    sleep "$before"
    flood_now "$kind" "$from" &
    flooding=$!
    sleep 3
    start=$(date +%s.%N)
    while [ "$tries" -lt 10 ] && kill -0 "$flooding" 2>/dev/null; do
        tries=$((tries + 1)) status=0
        : >"$directory/a.events"
        (peer "$caller" a call 10.77.0.2 --duration 1) || status=$?
        [ "$status" != 0 ] || break
        sleep 1
    done
    python3 - "$directory" "$tries" "$status" "$start" <<'PYTHON'
import json, os, sys
directory, tries, status, start = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
came = None
for line in open(os.path.join(directory, "a.events")):
    event = json.loads(line)
    if event["event"] == "device-started" and event["role"] == "audio-sink":
        came = event["unix_ns"] / 1e9 - start
json.dump({"tries": tries, "through": status == 0, "seconds": came}, open(os.path.join(directory, "contact.json"), "w"))
PYTHON
    # One from anywhere is nothing but one more stranger to those who are flooded; whether it is among the few is chance.
    [ "$status" = 0 ] || [ $# = 0 ] || fail "the contact did not get through in $tries tries: $(tail -n 1 "$directory/a.log")"
    wait "$flooding" || fail "the flood was not counted"
    sleep "$after"
    take after
    kill -INT "$(ip netns pids "$called" | head -n 1)" 2>/dev/null || true
    wait "$answering" || true
}
