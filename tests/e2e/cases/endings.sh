# How calls end, and how they fail to begin. Sourced by ./tests/e2e/run; lib.sh has the words.

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

# What it says to systemd of itself.
case_service_unit() {
    command -v systemd-analyze >/dev/null || { skip "systemd-analyze is not there: ./scripts/install test"; return; }
    visavis service >"$dir/visavis.service"
    XDG_RUNTIME_DIR=$dir systemd-analyze verify --user --man=no "$dir/visavis.service" 2>"$dir/verify.log" || fail "the unit: $(cat "$dir/verify.log")"
    [ ! -s "$dir/verify.log" ] || fail "the unit: $(cat "$dir/verify.log")"
}

# A process is gone, and one stands still.
case_lost() {
    answer ben "$p" --auto=anyone --reconnect 8
    # TCP says that the connection is gone, QUIC says nothing: neither says that nobody will make another one.
    for carrier in tcp quic; do
        call ana "127.0.0.1:$p" --carrier "$carrier"
        sees ana connected
        # The shell would tell of it.
        { kill -KILL "${pids[ana]}" && wait "${pids[ana]}"; } 2>/dev/null || true
        ended ben lost "$([ "$carrier" = tcp ] && echo 1 || echo 2)"
    done
    [ "$(count ben reconnecting)" = 2 ] || fail "ben waited $(count ben reconnecting) times"
    # Who begins anew and calls is not told that the line is busy.
    call ana "127.0.0.1:$p"
    sees ana connected
    { kill -KILL "${pids[ana]}" && wait "${pids[ana]}"; } 2>/dev/null || true
    sees ben reconnecting 3
    call ana "127.0.0.1:$p"
    sees ana connected
    ended ben lost 3
    tell ana hangup
    exits ana 0
    # Who hangs goes on when it hangs no more; who waits for nobody does not.
    call ana "127.0.0.1:$p"
    sees ana connected
    kill -STOP "${pids[ben]}"
    sees ana reconnecting
    kill -CONT "${pids[ben]}"
    sees ana reconnected
    tell ana hangup
    exits ana 0
    call ana "127.0.0.1:$p" --reconnect 0
    sees ana connected
    kill -STOP "${pids[ben]}"
    exits ana 10 10
    ended ana lost
    kill -CONT "${pids[ben]}"
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
    listens "$p"
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
