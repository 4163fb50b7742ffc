# How a case plays its peers. Sourced by ./tests/e2e/run; `await` is from tests/measure/lib.sh.
#
# A case is a function case_NAME. It runs in a shell of its own with a folder $dir for its files and ports $p and $q for
# its peers. Each peer has a name: what it says is in $dir/PEER.events and $dir/PEER.log.

all_cases() { declare -F | sed -n 's/^declare -f case_//p' | tr _ -; }

# run_case NAME NUMBER
run_case() {
    local name=$1
    dir=$out/$name p=$((9000 + 10 * $2)) q=$((9001 + 10 * $2))
    # What stands for a person with camera and microphone: small, so that many fit a machine at once.
    devices=(--audio synthetic --video synthetic:320x240@10 --audio-out none --video-out "$out/null.y4m@10")
    declare -gA pids=() wires=()
    rm -rf "$dir"
    mkdir -p "$dir"
    : >"$dir/failures"
    trap 'kill -CONT $(jobs -p) 2>/dev/null; kill $(jobs -p) 2>/dev/null || true' EXIT
    SECONDS=0
    "case_${name//-/_}"
    panics "$dir"/*.log
    printf '%s\n' "$SECONDS" >"$dir/done"
}

# The first failure ends a case: what follows would only be its echo.
fail() {
    printf '%s\n' "$*" >>"$dir/failures"
    exit 1
}

# skip REASON: this machine lacks what the case needs, which is said. Where everything must be tested, that is a failure.
skip() {
    [ -z "${CI-}" ] || fail "$*"
    printf '%s\n' "$*" >"$dir/skipped"
}

# A panic is our bug, whatever happened.
panics() {
    local log
    for log; do
        ! grep -q 'panicked' "$log" || fail "$(basename "$log" .log) panicked: $(grep -m 1 -A 1 panicked "$log" | tr '\n' ' ')"
    done
}

# start PEER ARGUMENT…: runs visavis as a program would; `tell` writes to it.
start() {
    local peer=$1 wire
    shift
    [ -p "$dir/$peer.in" ] || mkfifo "$dir/$peer.in"
    exec {wire}<>"$dir/$peer.in"
    wires[$peer]=$wire
    : >"$dir/$peer.events"
    : >"$dir/$peer.log"
    visavis --json --profile "$dir/$peer" "$@" <&"$wire" >>"$dir/$peer.events" 2>>"$dir/$peer.log" &
    pids[$peer]=$!
}

# start_beside PEER ARGUMENT…: one more process with the profile of a peer; it is called PEER-beside.
start_beside() {
    local peer=$1
    shift
    mkdir -p "$dir/$peer"
    ln -sfn "$peer" "$dir/$peer-beside"
    start "$peer-beside" "$@"
}

# answer PEER PORT ARGUMENT…: starts a peer that waits for calls on the loopback, and waits until it does.
answer() {
    local peer=$1 port=$2
    shift 2
    start "$peer" answer --port "$port" "${devices[@]}" "$@"
    sees "$peer" listening
}

# call PEER ADDRESS ARGUMENT…
call() {
    local peer=$1 address=$2
    shift 2
    start "$peer" call "$address" "${devices[@]}" "$@"
}

# control PEER STATUS ARGUMENT…: asks a running peer for something, from another process; the answer is in $answer.
control() {
    local peer=$1 expected=$2 status=0
    shift 2
    answer=$(visavis --profile "$dir/$peer" "$@" 2>&1) || status=$?
    [ "$status" = "$expected" ] || fail "visavis $*: status $status, not $expected: $answer"
}

tell() { printf '%s\n' "$2" >&"${wires[$1]}"; }

# count PEER EVENT
count() { grep -c "\"event\":\"$2\"" "$dir/$1.events" || true; }

# sees PEER EVENT [COUNT]: an event comes, for the COUNTth time.
sees() {
    local tries=300
    until [ "$(count "$1" "$2")" -ge "${3:-1}" ]; do
        [ "$((tries -= 1))" -gt 0 ] || fail "$1 never saw $2${3:+ for the ${3}th time}: $(tail -n 1 "$dir/$1.log")"
        sleep 0.05
    done
}

# never PEER EVENT: it has not come.
never() { [ "$(count "$1" "$2")" = 0 ] || fail "$1 saw $2"; }

# tells PEER TEXT: a notice says so.
tells() { grep '"event":"notice"' "$dir/$1.events" | grep -qF -- "$2" || fail "$1 does not tell \"$2\""; }

# explains PEER TEXT: standard error says so.
explains() { grep -qF -- "$2" "$dir/$1.log" || fail "$1 does not explain \"$2\": $(tail -n 1 "$dir/$1.log")"; }

# ended PEER OUTCOME [COUNT]: so many conversations have ended with this outcome, and none otherwise.
ended() {
    local peer=$1 outcome=$2 expected=${3:-1} good
    sees "$peer" ended "$expected"
    good=$(grep -c "\"event\":\"ended\".*\"outcome\":\"$outcome\"" "$dir/$peer.events" || true)
    [ "$(count "$peer" ended)/$good" = "$expected/$expected" ] ||
        fail "$peer: $good ends are \"$outcome\", $expected should be: $(grep '"event":"ended"' "$dir/$peer.events" | grep -v "\"$outcome\"" | tail -n 1)"
}

# exits PEER STATUS [SECONDS]: the process ends, and so.
exits() {
    local peer=$1 expected=$2 tries=$((${3:-15} * 20)) status=0
    while kill -0 "${pids[$peer]}" 2>/dev/null; do
        if [ "$((tries -= 1))" = 0 ]; then
            kill -KILL "${pids[$peer]}"
            fail "$peer did not exit"
        fi
        sleep 0.05
    done
    wait "${pids[$peer]}" || status=$?
    [ "$status" = "$expected" ] || fail "$peer exited with $status, not $expected: $(tail -n 1 "$dir/$peer.log")"
}

# hangs_up: ana ends the call with ben, who leaves after one.
hangs_up() {
    tell ana hangup
    exits ana 0
    exits ben 0
    ended ben ended
}

# stop PEER: tells a peer to leave; it does, and says that all is well.
stop() {
    tell "$1" quit
    exits "$1" 0
}

# flows PEER: sound and pictures arrive, now.
flowing='"received":{"audio_bps":[1-9][^}]*"video_bps":[1-9]'
flows() {
    local tries=300
    until [ "$(last "$1" status "$flowing")" = yes ]; do
        [ "$((tries -= 1))" -gt 0 ] || fail "$1 receives no sound or no pictures: $(grep '"status"' "$dir/$1.events" | tail -n 1)"
        sleep 0.05
    done
}

# listens PORT: waits until somebody listens there for TCP, without a word to them.
listens() {
    local tries=300
    until [ -n "$(ss -Hltn "sport = :$1")" ]; do
        [ "$((tries -= 1))" -gt 0 ] || fail "nobody listens on port $1"
        sleep 0.05
    done
}

# last PEER EVENT PATTERN: whether the last such event is like that, yes or no.
last() { if grep "\"event\":\"$2\"" "$dir/$1.events" | tail -n 1 | grep -q -- "$3"; then echo yes; else echo no; fi; }

# becomes PEER PATTERN: its status comes to be like that.
becomes() {
    local tries=200
    until [ "$(last "$1" status "$2")" = yes ]; do
        [ "$((tries -= 1))" -gt 0 ] || fail "the status of $1 never has $2: $(grep '"event":"status"' "$dir/$1.events" | tail -n 1)"
        sleep 0.1
    done
}

# field PEER EVENT NAME: a text of the first such event.
field() { sed -n "/\"event\":\"$2\"/s/.*\"$3\":\"\([^\"]*\)\".*/\1/p" "$dir/$1.events" | head -n 1; }

# fingerprint PEER: whose profile that is; makes it.
fingerprint() { visavis --json --profile "$dir/$1" identity | sed 's/.*"fingerprint":"\([^"]*\)".*/\1/'; }

# contact PEER ARGUMENT…: adds a contact to a profile.
contact() {
    local peer=$1
    shift
    visavis --profile "$dir/$peer" contacts add "$@" >/dev/null 2>>"$dir/$peer.contacts" || fail "$peer: no contact: $(cat "$dir/$peer.contacts")"
}

# wall MATCH: what matches is dropped on arrival, as in the middle of a network: the sender learns nothing.
wall() {
    nft "add table inet case$p; add chain inet case$p in { type filter hook input priority 0; }; add rule inet case$p in $1 drop"
}
# breaks PORT: every connection to or from that port is reset as soon as something is said there, until there is no wall.
breaks() {
    nft "add table inet case$p; add chain inet case$p in { type filter hook input priority 0; }"
    local end
    for end in dport sport; do
        nft "add rule inet case$p in tcp $end $1 tcp flags & (syn | ack) == ack reject with tcp reset"
    done
}
no_wall() { nft delete table inet "case$p"; }
