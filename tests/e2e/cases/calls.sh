# A call as two people and their programs have it. Sourced by ./tests/e2e/run; lib.sh has the words.

# Both ring, see and hear, read the same numbers, and one hangs up.
case_call() {
    answer ben "$p" --once
    call ana "127.0.0.1:$p"
    sees ana ringing
    sees ben incoming
    never ana connected
    tell ben accept
    sees ana connected
    sees ben connected
    sees ana sas
    sees ben sas
    [ "$(field ana sas sas)" = "$(field ben sas sas)" ] || fail "the authentication strings differ"
    flows ana
    flows ben
    tell ben hangup
    exits ana 0
    exits ben 0
    ended ana ended
    ended ben ended
}

# Other processes see, answer, mute and end what a peer does.
case_control() {
    contact ben ana --key "$(fingerprint ana)"
    control ben 11 status
    answer ben "$p"
    control ben 12 accept
    control ben 12 hangup
    control ben 0 status
    [[ $answer == *"waits for calls"* ]] || fail "the status is $answer"
    [ "$(stat -c %a "$dir/ben/run" "$dir/ben/run/control.sock" | xargs)" = "700 600" ] || fail "others get at the socket"
    # A second instance of the profile does not start, and takes nothing from the first.
    start_beside ben answer --port "$q" "${devices[@]}"
    exits ben-beside 1
    explains ben-beside 'another visavis runs with this profile already'
    start_beside ben answer --port "$q" "${devices[@]}" --no-control
    sees ben-beside listening
    tell ben-beside quit
    exits ben-beside 0
    call ana "127.0.0.1:$p"
    sees ben incoming
    control ben 0 --json status
    [[ $answer == *'"phase":"ringing"'* ]] || fail "the status is $answer"
    control ben 0 accept
    sees ana connected
    flows ana
    control ana 0 mute
    control ana 0 mute --camera toggle
    sees ana muted 2
    sees ben peer-muted
    becomes ben '"peer_muted":{"camera":true,"microphone":true}'
    # Silence takes next to nothing, pictures nothing at all.
    becomes ana '"sent":{[^}]*"fps":0.0,[^}]*"video_bps":0}'
    control ana 0 mute --camera off
    becomes ben '"peer_muted":{"camera":false,"microphone":true}'
    becomes ben '"received":{[^}]*"video_bps":[1-9]'
    [ "$(count ana device-started)" -ge 3 ] || fail "the camera was not opened again"
    control ana 0 hangup
    exits ana 0
    ended ben ended
    control ben 12 hangup
    call ana "127.0.0.1:$p"
    sees ben incoming 2
    control ben 0 decline
    exits ana 4
    # What a killed process leaves behind is in nobody's way.
    kill -KILL "${pids[ben]}"
    wait "${pids[ben]}" || true
    [ -S "$dir/ben/run/control.sock" ] || fail "nothing was left behind"
    control ben 11 status
    answer ben "$p"
    # Somebody who says nothing, and somebody who says too much.
    python3 - "$dir/ben/run/control.sock" <<'PYTHON' || fail "the socket: see above"
import socket, sys
def connect():
    client = socket.socket(socket.AF_UNIX)
    client.connect(sys.argv[1])
    return client
silent = [connect() for _ in range(8)]
much = connect()
much.sendall(b"x" * 4096)
assert b"malformed" in much.recv(4096)
other = connect()
other.sendall(b'{"verb":"hold"}\n')
assert b"unknown-verb" in other.recv(4096)
PYTHON
    control ben 0 status
    stop ben
    [ ! -e "$dir/ben/run/control.sock" ] || fail "the socket is still there"
}

# A person at a pipe, and a reader that goes away.
case_plain() {
    answer ben "$p" --auto=anyone
    visavis --profile "$dir/ana" call "127.0.0.1:$p" "${devices[@]}" </dev/null 2>"$dir/ana.log" | head -n 3 >"$dir/ana.out"
    ended ben ended
    stop ben
    printf 'y\n' | visavis --events "$dir/ben.events" --profile "$dir/ben" answer --once --port "$p" "${devices[@]}" >"$dir/ben.out" 2>"$dir/ben.log" &
    pids[ben]=$!
    await "$dir/ben.out" Waiting 10 || fail "ben does not wait"
    visavis --profile "$dir/ana" call "127.0.0.1:$p" "${devices[@]}" --duration 0.5 </dev/null >"$dir/ana.out" 2>"$dir/ana.log" ||
        fail "the caller exited with $?"
    exits ben 0
    ! grep -q $'\x1b' "$dir/ana.out" "$dir/ben.out" || fail "control characters in a pipe"
}
