# What is tried. Sourced by ./tests/e2e/run; lib.sh has the words.

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
    until [ "$(last ben status '"peer_muted":{"camera":true,"microphone":true}')" = yes ]; do sleep 0.1; done
    # Silence takes next to nothing, pictures nothing at all.
    until [ "$(last ana status '"fps":0.0,[^}]*"video_bps":0},"srtp"')" = yes ]; do sleep 0.1; done
    control ana 0 mute --camera off
    until [ "$(last ben status '"peer_muted":{"camera":false,"microphone":true}')" = yes ]; do sleep 0.1; done
    until [ "$(last ben status '"received":{[^}]*"video_bps":[1-9]')" = yes ]; do sleep 0.1; done
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

# Every suite by itself carries a call.
suite() {
    answer ben "$p" --once --auto=anyone --suites "$1"
    call ana "127.0.0.1:$p" --suites "$1"
    sees ana connected
    [ "$(field ana connected suite)" = "$1" ] || fail "the suite is $(field ana connected suite)"
    flows ana
    flows ben
    tell ana hangup
    exits ana 0
    exits ben 0
    ended ben ended
}
case_suite_x25519() { suite x25519; }
case_suite_modp2048() { suite modp2048; }
case_suite_modp3072() { suite modp3072; }

# The called side has one suite only, for which the caller sent no share at first.
case_suite_after_a_retry() {
    answer ben "$p" --once --auto=anyone --suites modp2048
    call ana "127.0.0.1:$p" --suites x25519-mlkem768,x25519,modp3072,modp2048
    sees ana connected
    [ "$(field ana connected suite)" = modp2048 ] || fail "the suite is $(field ana connected suite)"
    tell ana hangup
    exits ana 0
    exits ben 0
}

case_no_common_suite() {
    answer ben "$p" --once --auto=anyone --suites x25519
    call ana "127.0.0.1:$p" --suites modp2048
    exits ana 7
    explains ana 'no key agreement in common'
    # A call that never rang is none: who waits for one goes on waiting.
    never ben incoming
    stop ben
}

# A machine that has the short key only, and one that has both: the call is theirs, with what they have in common.
case_srtp_profiles() {
    answer ben "$p" --once --auto=anyone
    call ana "127.0.0.1:$p" --srtp aes-128-gcm
    sees ana connected
    for who in ana ben; do
        flows "$who"
        [ "$(field "$who" connected srtp)" = aes-128-gcm ] || fail "$who has $(field "$who" connected srtp)"
    done
    control ana 0 status
    [[ $answer == *"x25519-mlkem768, aes-128-gcm"* ]] || fail "the status is $answer"
    tell ana hangup
    exits ana 0
    exits ben 0
    ended ben ended
    # With the same contact, nothing is lost by a call with the longer one, nor by one more with the shorter.
    answer ben "$p" --once --auto=anyone --srtp aes-256-gcm
    call ana "127.0.0.1:$p" --srtp aes-128-gcm,aes-256-gcm
    sees ana connected
    [ "$(field ana connected srtp)" = aes-256-gcm ] || fail "the profile is $(field ana connected srtp)"
    tell ana hangup
    exits ana 0
    exits ben 0
}

case_no_common_srtp_profile() {
    answer ben "$p" --once --auto=anyone --srtp aes-256-gcm
    call ana "127.0.0.1:$p" --srtp aes-128-gcm
    exits ana 7
    explains ana 'no SRTP profile in common: offered AEAD_AES_256_GCM'
    never ben incoming
    stop ben
}

# A contact who has used a strong suite is not called, and does not get through, with a weaker one.
case_downgrade() {
    answer ben "$p" --auto=anyone
    contact ana ben "127.0.0.1:$p"
    contact ben ana --key "$(fingerprint ana)"
    call ana ben --duration 0.3
    exits ana 0
    grep -q 'strongest = "x25519-mlkem768"' "$dir/ana/contacts.toml" || fail "the suite of the call was not noted"
    stop ben

    answer ben "$p" --auto=anyone --suites x25519
    call ana ben --suites x25519-mlkem768,x25519
    exits ana 7
    ended ana verification-failed
    stop ben
    never ben connected

    # The other way round: whoever is called notices it as well.
    answer ben "$p" --auto=anyone --suites x25519-mlkem768,x25519
    call ana "127.0.0.1:$p" --suites x25519
    exits ana 7
    never ben connected
    stop ben
}

# Somebody else answers than was meant: by contact, and by address.
case_wrong_key() {
    answer ben "$p" --auto=anyone
    contact ana ben "127.0.0.1:$p" --key "$(fingerprint cy)"
    call ana ben
    exits ana 7
    explains ana 'is not the ben you know'
    call ana "visavis://127.0.0.1:$p/ben#$(fingerprint cy)"
    exits ana 7
    ended ana verification-failed
    call ana "visavis://127.0.0.1:$p#$(fingerprint ana)"
    exits ana 2
    explains ana 'that is you'
    never ben connected
    never ben incoming
    stop ben
}

# A refusal is a refusal, every time.
case_declined() {
    local turn
    # A stranger would ring once a minute.
    contact ben ana --key "$(fingerprint ana)"
    answer ben "$p"
    for turn in {1..20}; do
        call ana "127.0.0.1:$p"
        sees ana ringing
        sees ben incoming "$turn"
        tell ben decline
        exits ana 4
        ended ana declined
        ended ben declined "$turn"
    done
    stop ben
}

# A goodbye is a goodbye, every time and whoever says it.
case_hang_up() {
    local turn
    answer ben "$p" --auto=anyone
    for turn in {1..20}; do
        call ana "127.0.0.1:$p"
        sees ana connected
        sees ben connected "$turn"
        if ((turn % 2)); then tell ana hangup; else tell ben hangup; fi
        exits ana 0
        ended ana ended
        ended ben ended "$turn"
    done
    stop ben
}

case_busy() {
    answer ben "$p" --auto=anyone
    call ana "127.0.0.1:$p"
    sees ana connected
    call cy "127.0.0.1:$p"
    exits cy 5
    ended cy busy
    # While it rings, too.
    tell ana hangup
    exits ana 0
    stop ben
    answer ben "$p"
    call ana "127.0.0.1:$p"
    sees ana ringing
    call cy "127.0.0.1:$p"
    exits cy 5
    tell ben decline
    exits ana 4
    stop ben
}

# The caller gives up while it rings.
case_cancelled() {
    answer ben "$p" --once
    call ana "127.0.0.1:$p"
    sees ben incoming
    kill -INT "${pids[ana]}"
    exits ana 130
    ended ben no-answer
    exits ben 6
}

# Nobody answers, whichever side has less patience.
case_no_answer() {
    answer ben "$p" --once
    call ana "127.0.0.1:$p" --ring-timeout 0.5
    exits ana 6
    ended ana no-answer
    exits ben 6
    answer ben "$p" --once --ring-timeout 0.5
    call ana "127.0.0.1:$p"
    exits ana 6
    exits ben 6
}

# Ctrl-C, the end of a session and of a terminal hang up as a person would.
case_signals() {
    local signal
    answer ben "$p" --auto=anyone
    for signal in INT TERM HUP; do
        call ana "127.0.0.1:$p"
        sees ana connected
        kill "-$signal" "${pids[ana]}"
        exits ana 0
        ended ana ended
    done
    ended ben ended 3
    # The called side as well.
    call ana "127.0.0.1:$p"
    sees ana connected
    kill -INT "${pids[ben]}"
    exits ben 0
    exits ana 0
    ended ana ended
}

# As under systemd: no terminal, nothing on standard input, a log that is kept, and SIGTERM at the end.
case_service() {
    local pid status=0
    visavis service >"$dir/visavis.service"
    if command -v systemd-analyze >/dev/null; then
        XDG_RUNTIME_DIR=$dir systemd-analyze verify --user --man=no "$dir/visavis.service" 2>"$dir/verify.log" || fail "the unit: $(cat "$dir/verify.log")"
        [ ! -s "$dir/verify.log" ] || fail "the unit: $(cat "$dir/verify.log")"
    fi
    contact ben ana --key "$(fingerprint ana)"
    # The pipe stands for the journal's, which is told from others by its numbers.
    mkfifo "$dir/journal"
    : >"$dir/ben.events"
    : >"$dir/ben.log"
    cat "$dir/journal" >"$dir/ben.out" &
    (
        exec >"$dir/journal" </dev/null 2>>"$dir/ben.log"
        JOURNAL_STREAM=$(stat -c %d:%i "$dir/journal")
        export JOURNAL_STREAM
        exec setsid visavis --events "$dir/ben.events" --profile "$dir/ben" answer --auto=contacts --no-gui --port "$p" "${devices[@]}"
    ) &
    pids[ben]=$!
    sees ben listening
    call ana "127.0.0.1:$p"
    flows ana
    sleep 6
    tell ana hangup
    exits ana 0
    # A stranger rings; somebody at this machine may accept.
    call cy "127.0.0.1:$p"
    sees ben incoming 2
    control ben 0 accept
    sees cy connected
    kill -TERM "${pids[ben]}"
    exits ben 0
    exits cy 0
    ended cy ended
    ! grep -q 'fps' "$dir/ben.out" || fail "the journal fills: $(grep -m 1 fps "$dir/ben.out")"
    grep -q 'Connected to ana' "$dir/ben.out" || fail "the journal does not say who called: $(cat "$dir/ben.out")"
    grep -q 'visavis accept' "$dir/ben.out" || fail "it does not say how to answer: $(cat "$dir/ben.out")"
}

# A process is gone, and one stands still.
case_lost() {
    answer ben "$p" --auto=anyone
    call ana "127.0.0.1:$p"
    sees ana connected
    # The shell would tell of it.
    { kill -KILL "${pids[ana]}" && wait "${pids[ana]}"; } 2>/dev/null || true
    ended ben lost
    call ana "127.0.0.1:$p"
    sees ana connected
    kill -STOP "${pids[ben]}"
    exits ana 10 10
    ended ana lost
    kill -CONT "${pids[ben]}"
    ended ben lost 2
    stop ben
}

case_unreachable() {
    call ana "127.0.0.1:$p"
    exits ana 3
    tells ana 'refused: nothing listens on that port'
    # No way there, a name that nobody knows, and somebody who does not speak.
    call ana 192.0.2.1
    exits ana 3
    call ana nobody.invalid
    exits ana 3
    ended ana unreachable
    wall "tcp dport $q"
    call ana "127.0.0.1:$q"
    exits ana 3 20
    tells ana 'no answer in time'
}

case_not_visavis() {
    python3 -m http.server --bind 127.0.0.1 --directory "$dir" "$p" >"$dir/http" 2>&1 &
    await "$dir/http" Serving 10 || true
    until (: <"/dev/tcp/127.0.0.1/$p") 2>/dev/null; do sleep 0.05; done
    call ana "127.0.0.1:$p"
    exits ana 9
    ended ana not-visavis
}

case_taken_port() {
    answer ben "$p"
    start ana answer --port "$p" "${devices[@]}"
    exits ana 1
    explains ana "port $p is taken"
    stop ben
}

case_devices() {
    answer ben "$p" --auto=anyone
    start ana call "127.0.0.1:$p" --audio "$dir/nothing.wav" --video none --audio-out none
    exits ana 8
    explains ana nothing.wav
    start ana call "127.0.0.1:$p" --audio 'No such microphone' --video none --audio-out none
    exits ana 8
    explains ana 'No such microphone'
    start ana call "127.0.0.1:$p" --audio none --video none --audio-out "$dir/nowhere/heard.wav"
    exits ana 8
    # A default that is missing is no reason not to talk.
    start ana call "127.0.0.1:$p" --video none --duration 0.5
    exits ana 0
    stop ben
}

# Both call each other at the same moment: one call comes of it.
case_glare() {
    local turn
    for turn in {1..8}; do
        # Nothing gets through until both are there; their kernels then try again within the same moment.
        wall "tcp dport { $p, $q }"
        call ana "127.0.0.1:$q" --port "$p"
        call ben "127.0.0.1:$p" --port "$q"
        sees ana listening
        sees ben listening
        no_wall
        sees ana connected
        sees ben connected
        if ((turn == 1)); then
            flows ana
            flows ben
        fi
        if ((turn % 2)); then tell ana hangup; else tell ben hangup; fi
        exits ana 0
        exits ben 0
        ended ana ended
        ended ben ended
        [ "$(count ana connected) $(count ben connected)" = '1 1' ] || fail "more than one call"
    done
}

connections() { ss -Htn state established "( sport = :$p or dport = :$p or sport = :$q or dport = :$q )" | wc -l; }

# Each direction has a connection of its own; where the second cannot be made, one serves both.
case_separate_channels() {
    answer ben "$p" --auto=anyone --separate-channels
    call ana "127.0.0.1:$p" --port "$q" --separate-channels
    flows ana
    flows ben
    # Each connection shows both of its ends.
    [ "$(connections)" = 4 ] || fail "$(connections) ends of connections, not 4"
    [ "$(ss -Htn state established "sport = :$q" | wc -l)" = 1 ] || fail "nobody dialled back"
    tell ben hangup
    exits ana 0
    ended ana ended
    ended ben ended
    wall "tcp dport $q"
    call ana "127.0.0.1:$p" --port "$q" --separate-channels
    flows ana
    flows ben
    [ "$(connections)" = 2 ] || fail "$(connections) ends of connections, not 2"
    tell ana hangup
    exits ana 0
    ended ana ended
    ended ben ended 2
    stop ben
}

case_udp_blocked() {
    wall "udp dport { $p, $q }"
    answer ben "$p" --auto=anyone
    call ana "127.0.0.1:$p" --port "$q"
    flows ana
    flows ben
    grep -q '"carrier":"tcp"' "$dir/ana.events" || fail "how does it flow?"
    tell ana hangup
    exits ana 0
    ended ben ended
    stop ben
}

case_stream() {
    start ben stream --port "$p" --allow anyone --audio synthetic --video synthetic:320x240@10
    sees ben listening
    local watch=(watch "127.0.0.1:$p" --audio-out none --video-out "$out/null.y4m@10")
    start ana "${watch[@]}"
    start cy "${watch[@]}"
    flows ana
    flows cy
    await "$dir/ben.events" '"viewers":2' 10 || fail "ben does not count two viewers"
    kill -INT "${pids[cy]}"
    exits cy 0
    ended cy ended
    ended ben ended
    # A stream takes no calls.
    call dee "127.0.0.1:$p"
    exits dee 4
    never ana ended
    kill -INT "${pids[ben]}"
    exits ben 0
    exits ana 0
    ended ana ended
}

case_stream_for_contacts() {
    local ana
    ana=$(fingerprint ana)
    start ben stream --port "$p" --allow "$ana" --audio synthetic --video none
    sees ben listening
    start cy watch "127.0.0.1:$p" --audio-out none
    exits cy 4
    start ana watch "127.0.0.1:$p" --audio-out none --duration 0.5
    exits ana 0
    stop ben
    # Who waits for calls has no stream.
    answer ben "$p" --auto=anyone
    start ana watch "127.0.0.1:$p" --audio-out none
    exits ana 4
    stop ben
}

case_names() {
    local address key
    key=$(fingerprint ben)
    answer ben "$p" --auto=anyone
    contact ana 'Ben at home' "localhost:$p"
    for address in "127.0.0.1:$p" "localhost:$p" "[::1]:$p" "[fe80::2%near]:$p" 'ben AT home' "visavis://localhost:$p/Ben#$key"; do
        call ana "$address" --duration 0.2
        exits ana 0
        [ "$(field ana connected peer)" = "$key" ] || fail "$address is somebody else"
    done
    # The first call by name decides the key.
    grep -q "$key" "$dir/ana/contacts.toml" || fail "the key was not kept"
    # What is no address is said before anybody's bell rings.
    for address in 'no such contact' 'http://127.0.0.1' '127.0.0.1:0' '1.2.3' 'fe80::1%'; do
        call ana "$address"
        exits ana 2
    done
    stop ben
}

# Who is blocked, and who is not known, while it runs and from the start.
case_blocked() {
    local ana
    ana=$(fingerprint ana)
    answer ben "$p" --auto=anyone
    call ana "127.0.0.1:$p"
    flows ana
    control ben 0 block add "$ana"
    [ "$(stat -c %a "$dir/ben/blocked.toml")" = 600 ] || fail "others may read whom ben has blocked"
    # It is out of the call, and finds the line busy.
    exits ana 0
    for _ in 1 2 3; do
        call ana "127.0.0.1:$p"
        exits ana 5
    done
    [ "$(grep -c 'whom you have blocked' "$dir/ben.events")" = 1 ] || fail "ben is told too often, or not at all"
    control ben 2 block add "$ana"
    control ben 2 block add nobody
    call cy "127.0.0.1:$p" --duration 0.3
    exits cy 0
    stop ben
    answer ben "$p" --auto=anyone
    call ana "127.0.0.1:$p"
    exits ana 5
    control ben 0 block remove "$ana"
    call ana "127.0.0.1:$p" --duration 0.3
    exits ana 0
    stop ben

    answer ben "$p" --contacts-only
    call ana "127.0.0.1:$p"
    exits ana 4
    never ben incoming
    # A contact from now on.
    control ben 0 contacts add Ana --key "$ana"
    call ana "127.0.0.1:$p"
    sees ben incoming
    tell ben accept
    sees ana connected
    stop ben
    exits ana 0

    # A stranger rings once.
    answer ben "$p"
    call cy "127.0.0.1:$p"
    sees ben incoming
    tell ben decline
    exits cy 4
    call cy "127.0.0.1:$p"
    exits cy 5
    stop ben
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

# What an eavesdropper sees: before the call is accepted no media at all, afterwards nothing that can be read.
case_wire() {
    local accepted
    tcpdump -Z root --immediate-mode -i lo -w "$dir/call.pcap" -U -s 0 "port $p" 2>"$dir/tcpdump.log" &
    local tcpdump=$!
    await "$dir/tcpdump.log" listening 10 || fail "tcpdump: $(cat "$dir/tcpdump.log")"
    answer ben "$p" --once
    contact ana Benedikta "visavis://127.0.0.1:$p/Benedikta#$(fingerprint ben)"
    call ana Benedikta
    sees ben incoming
    sleep 3
    accepted=$EPOCHREALTIME
    tell ben accept
    flows ana
    flows ben
    sleep 2
    tell ana hangup
    exits ana 0
    exits ben 0
    sleep 0.2
    kill -INT "$tcpdump"
    wait "$tcpdump" || true
    python3 tests/e2e/wire.py "$dir/call.pcap" "$accepted" "$p" Benedikta "$(fingerprint ana)" "$(fingerprint ben)" >"$dir/wire" 2>&1 ||
        fail "$(tail -n 1 "$dir/wire")"
}

# Hostile bytes at both ports of a peer in a call: the call goes on, and they take no more than was set aside for them.
case_junk() {
    answer ben "$p" --auto=anyone
    call ana "127.0.0.1:$p"
    flows ana
    flows ben
    local open files=0 proc=/proc/${pids[ben]} junk memory status
    python3 tests/e2e/junk.py "$p" 10 2>"$dir/junk.err" &
    junk=$!
    while kill -0 "$junk" 2>/dev/null; do
        open=$(ls "$proc/fd" | wc -l)
        files=$((open > files ? open : files))
        sleep 0.2
    done
    wait "$junk" || fail "the junk failed: $(tail -n 1 "$dir/junk.err")"
    memory=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\) kB/\1/p' "$proc/status")
    printf '%s files, %s kB\n' "$files" "$memory" >"$dir/taken"
    # 768 connections, most of them on their way out, and what a call has open by itself.
    [ "$files" -le 800 ] || fail "ben had $files files open"
    [ "$memory" -le 60000 ] || fail "ben took $memory kB"
    never ana ended
    never ben ended
    for status in ana ben; do
        status=$(grep '"event":"status"' "$dir/$status.events" | tail -n 1)
        [[ $status == *'"received":{"audio_bps":'[1-9]*'"video_bps":'[1-9]* ]] || fail "the call stands still: $status"
    done
    tell ana hangup
    exits ana 0
    ended ana ended
    ended ben ended
    # Whoever comes next gets through.
    call cy "127.0.0.1:$p" --duration 0.2
    exits cy 0
    stop ben
}

# probed FILE LEAST MOST: ffprobe reads both tracks to the end, and the last packet is so late, in seconds.
probed() {
    local tracks last
    tracks=$(ffprobe -v error -show_entries stream=codec_name -of csv=p=0 "$1" 2>>"$dir/probe.log" | paste -sd ,)
    [ "$tracks" = mjpeg,opus ] || fail "$1 has the tracks \"$tracks\""
    last=$(ffprobe -v error -show_entries packet=pts_time -of csv=p=0 "$1" 2>>"$dir/probe.log" | sort -n | tail -n 1)
    awk -v last="${last%,}" -v least="$2" -v most="$3" 'BEGIN { exit !(last >= least && last <= most) }' ||
        fail "$1 ends at ${last:-nothing} s, not between $2 and $3"
}

# Both directions of ten seconds: who is recorded knows it, and the file is whole.
case_record() {
    answer ben "$p" --once --auto=anyone
    call ana "127.0.0.1:$p" --duration 10 --record "$dir/call.mkv" --snapshot "$dir/ben.jpg"
    sees ana recording
    sees ben recording
    grep -q '"by":"them".*"on":true' "$dir/ben.events" || fail "ben does not know who records"
    sees ana snapshot
    exits ana 0 30
    exits ben 0
    probed "$dir/call.mkv" 8.5 10.5
    [ ! -s "$dir/probe.log" ] || fail "ffprobe complains: $(head -n 1 "$dir/probe.log")"
    ffprobe -v error -show_entries format=duration -of csv=p=0 "$dir/call.mkv" | grep -qE '^(9|10)\.' || fail "it has no length"
    [ "$(ffprobe -v error -show_entries stream=codec_name,width,height -of csv=p=0 "$dir/ben.jpg")" = mjpeg,320,240 ] ||
        fail "the picture is none"
    # A recording is not written over.
    call ana "127.0.0.1:$p" --record "$dir/call.mkv"
    exits ana 8
    explains ana 'is there already'
}

# Whoever is killed leaves what can be played.
case_record_killed() {
    answer ben "$p" --once --auto=anyone
    call ana "127.0.0.1:$p" --record "$dir/call.mkv"
    sees ana recording
    sees ana status 10
    kill -KILL "${pids[ana]}"
    probed "$dir/call.mkv" 5 12
    exits ben 10
}

# The disk is full: the call goes on, and it is said once.
case_record_full() {
    mkdir "$dir/disk"
    mount -t tmpfs -o size=256k tmpfs "$dir/disk" || fail "no small disk can be had"
    answer ben "$p" --once --auto=anyone
    call ana "127.0.0.1:$p" --record "$dir/disk/call.mkv"
    sees ana device-failed
    sees ana status "$(($(count ana status) + 2))"
    flows ana
    tell ana hangup
    exits ana 0
    exits ben 0
    [ "$(count ana device-failed)" = 1 ] || fail "it is said more than once"
    explains ana 'the call goes on'
    grep -q '"by":"them".*"on":false' "$dir/ben.events" || fail "ben thinks that he is still recorded"
    cp "$dir/disk/call.mkv" "$dir/"
    umount "$dir/disk"
    probed "$dir/call.mkv" 0.5 30
}

# A look through somebody's camera, and what there is to say when it has none.
case_snapshot() {
    start cam stream --allow anyone --port "$p" --audio synthetic --video synthetic:320x240@10
    sees cam listening
    start ana watch "127.0.0.1:$p" --snapshot "$dir/door.jpg"
    exits ana 0
    [ "$(ffprobe -v error -show_entries stream=width -of csv=p=0 "$dir/door.jpg")" = 320 ] || fail "the picture is none"
    # Later ones on request, in its place.
    start eva watch "127.0.0.1:$p" --snapshot "$dir/door.jpg" --duration 20 --audio-out none
    sees eva snapshot
    tell eva snapshot
    sees eva snapshot 2
    tell eva quit
    exits eva 0
    stop cam
}
