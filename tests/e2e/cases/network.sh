# What is on the wire, and which way it takes. Sourced by ./tests/e2e/run; lib.sh has the words.

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

# The one that is asked for, and without being asked the one that passes.
case_carriers() {
    local carrier
    answer ben "$p" --auto=anyone
    for carrier in auto:quic:first quic:quic:asked tcp:tcp:asked; do
        IFS=: read -r asked carrier why <<<"$carrier"
        call ana "127.0.0.1:$p" --carrier "$asked"
        flows ana
        grep -q "\"event\":\"connected\".*\"carrier\":\"$carrier\",\"carrier_why\":\"$why\"\|\"carrier\":\"$carrier\",\"carrier_why\":\"$why\".*\"event\":\"connected\"" "$dir/ana.events" ||
            fail "--carrier $asked: $(grep '"event":"connected"' "$dir/ana.events")"
        tell ana hangup
        exits ana 0
    done
    # With TCP walled off there is nothing else to notice; without UDP, QUIC alone says so.
    wall "tcp dport $p"
    call ana "127.0.0.1:$p"
    flows ana
    tell ana hangup
    exits ana 0
    wall "udp dport { $p, $q }"
    call ana "127.0.0.1:$p" --port "$q" --carrier quic
    exits ana 3
    call ana "127.0.0.1:$p" --carrier quic --suites x25519
    exits ana 2
    explains ana 'x25519-mlkem768 only'
    call ana "127.0.0.1:$p" --carrier pigeon
    exits ana 2
    explains ana 'choose from auto, quic, tcp'
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

# A router breaks the connection of a call: it goes on over another one, without a second ring, and words get through.
case_resumed() {
    local tries=300
    answer ben "$p" --auto=anyone --once
    call ana "127.0.0.1:$p" --carrier tcp
    flows ana
    flows ben
    breaks "$p"
    # Whoever speaks first. The other one may be told by the new connection.
    until [ "$(($(count ana reconnecting) + $(count ben reconnecting)))" -gt 0 ]; do
        [ "$((tries -= 1))" -gt 0 ] || fail "nobody notices that the connection is broken"
        sleep 0.05
    done
    no_wall
    sees ana reconnected
    sees ben reconnected
    grep -q '"resumed":true' "$dir/ana.events" && grep -q '"resumed":true' "$dir/ben.events" || fail "nobody says that it is another connection"
    control ana 0 mute
    becomes ben '"peer_muted":{"camera":false,"microphone":true}'
    flows ana
    flows ben
    [ "$(count ben incoming)" = 1 ] || fail "it rang $(count ben incoming) times"
    hangs_up
}

# Datagrams do not pass any more: a call over QUIC goes on over TCP.
case_datagrams_lost() {
    answer ben "$p" --auto=anyone --once
    call ana "127.0.0.1:$p" --port "$q"
    flows ana
    grep -q '"carrier":"quic"' "$dir/ana.events" || fail "it is not over QUIC"
    wall "udp dport { $p, $q }"
    sees ana reconnected
    becomes ana '"carrier":"tcp","carrier_why":"resumed"'
    becomes ben '"carrier":"tcp","carrier_why":"resumed"'
    flows ana
    flows ben
    hangs_up
}

# What an eavesdropper sees: before the call is accepted no media at all, afterwards nothing that can be read.
case_wire() {
    local accepted
    # At once, each packet takes as much of the buffer as the largest would, and the usual one has room for some thirty.
    tcpdump -Z root --immediate-mode -B 65536 -i lo -w "$dir/call.pcap" -U -s 0 "port $p" 2>"$dir/tcpdump.log" &
    local tcpdump=$!
    await "$dir/tcpdump.log" listening 10 || fail "tcpdump: $(cat "$dir/tcpdump.log")"
    answer ben "$p" --once --carrier tcp
    contact ana Benedikta "visavis://127.0.0.1:$p/Benedikta#$(fingerprint ben)"
    call ana Benedikta --carrier tcp
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
        fail "$(tail -n 1 "$dir/wire"); $(tail -n 1 "$dir/tcpdump.log")"
}

# Hostile bytes at both ports of a peer in a call: the call goes on, and they take no more than was set aside for them.
case_junk() {
    answer ben "$p" --auto=anyone
    call ana "127.0.0.1:$p"
    flows ana
    flows ben
    local open files=0 proc=/proc/${pids[ben]} junk memory peer
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
    for peer in ana ben; do
        [ "$(last "$peer" status "$flowing")" = yes ] || fail "the call stands still: $(grep '"event":"status"' "$dir/$peer.events" | tail -n 1)"
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
