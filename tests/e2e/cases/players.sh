# Plain RTSP players that the owner lets in. Sourced by ./tests/e2e/run; lib.sh has the words.

# serve PEER PORT ARGUMENT…: starts a stream of camera and microphone.
serve() {
    local peer=$1 port=$2
    shift 2
    start "$peer" stream --port "$port" --audio synthetic --video synthetic:320x240@30 "$@"
    sees "$peer" listening
}

# plays NAME SECONDS ARGUMENT…: ffmpeg decodes a stream for so long, with pictures and sound, and has nothing to complain about.
plays() {
    local name=$1 seconds=$2 pictures
    shift 2
    timeout 20 ffmpeg -nostdin -v warning -stats "$@" -t "$seconds" -f null - 2>"$dir/$name.ffmpeg" ||
        fail "$name: ffmpeg fails: $(tr '\r' '\n' <"$dir/$name.ffmpeg" | tail -n 1)"
    pictures=$(tr '\r' '\n' <"$dir/$name.ffmpeg" | sed -n 's/^frame= *\([0-9]*\).*/\1/p' | tail -n 1)
    [ "${pictures:-0}" -ge $((seconds * 20)) ] || fail "$name: ffmpeg has decoded ${pictures:-no} pictures in $seconds s"
    # Where it begins is not what it complains of.
    # Nor that it tries one pair of ports after the other, while others have some.
    ! tr '\r' '\n' <"$dir/$name.ffmpeg" | grep -vE '^(frame=|size=|video:|$)|Guessed Channel Layout|bind failed: Address already in use' ||
        fail "$name: ffmpeg complains: $(tr '\r' '\n' <"$dir/$name.ffmpeg" | grep -vE '^(frame=|size=|video:|$)' | head -n 1)"
}

# refused NAME STATUS ARGUMENT…: ffmpeg is told this status.
refused() {
    local name=$1 status=$2
    shift 2
    ! timeout 20 ffmpeg -nostdin -v error "$@" -t 1 -f null - 2>"$dir/$name.ffmpeg" || fail "$name: ffmpeg is let in"
    grep -q "$status" "$dir/$name.ffmpeg" || fail "$name: ffmpeg is not told $status: $(tail -n 1 "$dir/$name.ffmpeg")"
}

# tells_of EVENT COUNT PATTERN…: the COUNTth such event of ben's has all of that.
tells_of() {
    local event=$1 number=$2 line pattern
    shift 2
    sees ben "$event" "$number"
    line=$(grep "\"event\":\"$event\"" "$dir/ben.events" | sed -n "${number}p")
    for pattern; do
        grep -q -- "$pattern" <<<"$line" || fail "$event $number has no $pattern: $line"
    done
}

case_players() {
    local number=0 tries=100 way url
    serve ben "$p" --allow-players loopback \
        --on-viewer "echo \"\$VISAVIS_EVENT \$VISAVIS_ADDRESS \$VISAVIS_PLAYER \$VISAVIS_VIEWERS\" >>'$dir/hook'"
    url=rtsp://127.0.0.1:$p/stream
    for way in udp tcp rtsps; do
        number=$((number + 1))
        case $way in
            rtsps) plays rtsps 2 -i "rtsps${url#rtsp}" ;;
            *) plays "$way" 2 -rtsp_transport "$way" -i "$url" ;;
        esac
        tells_of player-joined "$number" '"address":"127.0.0.1:[0-9]*"' '"agent":"Lavf' '"formats":\["H264","opus"\]' '"user":null' \
            "\"secure\":$([ "$way" = rtsps ] && echo true || echo false)" \
            "\"transport\":\"$([ "$way" = udp ] && echo udp || echo tcp)\""
        tells_of player-left "$number" '"reason":"it left"' '"skipped":[0-9]' '"connected_s":[1-9]'
    done
    plays mjpeg 2 -i "$url/mjpeg"
    tells_of player-joined 4 '"formats":\["JPEG","opus"\]'
    plays pcmu 2 -i "$url/pcmu"
    tells_of player-joined 5 '"formats":\["H264","PCMU"\]'
    plays silent 2 -i "$url/silent"
    tells_of player-joined 6 '"formats":\["H264"\]'
    # Another process can ask who watches. What it is told may be a second old.
    becomes ben '"players":\[\]'
    control ben 0 status
    ! grep -q Lavf <<<"$answer" || fail "somebody still watches: $answer"
    ffmpeg -nostdin -v error -i "$url" -f null - 2>"$dir/long.ffmpeg" &
    sees ben player-joined 7
    becomes ben '"players":\[{"address":"127.0.0.1:'
    control ben 0 status
    grep -q '1 viewer.*Lavf.*127.0.0.1' <<<"$answer" || fail "the status does not say who watches: $answer"
    stop ben
    tells_of player-left 7 '"reason":"the stream ended"'
    wait $! || true
    # Each is written by a shell of its own.
    until [ "$(grep -c . "$dir/hook")" -ge 14 ] || [ "$((tries -= 1))" = 0 ]; do sleep 0.05; done
    [ "$(grep -c 'joined 127.0.0.1 Lavf.* 1$' "$dir/hook")/$(grep -c 'left 127.0.0.1 Lavf.* 0$' "$dir/hook")" = 7/7 ] ||
        fail "the hook was told: $(cat "$dir/hook")"
}

case_players_password() {
    local scheme
    printf 'ana:secret\nben:other:word\n' >"$dir/passwords"
    chmod 644 "$dir/passwords"
    start ben stream --port "$p" --audio synthetic --video none --allow-players loopback --password-file "$dir/passwords"
    exits ben 1
    explains ben "chmod 600 '$dir/passwords'"
    never ben listening
    chmod 600 "$dir/passwords"
    serve ben "$p" --allow-players loopback --password-file "$dir/passwords"
    for scheme in rtsp rtsps; do
        refused "$scheme-nobody" 401 -i "$scheme://127.0.0.1:$p/stream"
        refused "$scheme-wrong" 401 -i "$scheme://ana:wrong@127.0.0.1:$p/stream"
        plays "$scheme-right" 2 -i "$scheme://ana:secret@127.0.0.1:$p/stream"
    done
    # A colon may be in a password.
    plays colon 2 -i "rtsp://ben:other%3Aword@127.0.0.1:$p/stream"
    tells_of player-joined 1 '"user":"ana"' '"secure":false'
    tells_of player-joined 2 '"user":"ana"' '"secure":true'
    tells_of player-joined 3 '"user":"ben"'
    [ "$(count ben player-joined)" = 3 ] || fail "who knows no password has joined"
    ! grep -qE 'secret|other:word' "$dir"/ben.{events,log} || fail "a password is told"
    stop ben
}

# Without the grant nothing is served, whoever asks.
case_players_off() {
    serve ben "$p" --allow anyone
    refused off 403 -i "rtsp://127.0.0.1:$p/stream"
    ! timeout 10 ffmpeg -nostdin -v error -i "rtsps://127.0.0.1:$p/stream" -t 1 -f null - 2>"$dir/tls.ffmpeg" || fail "TLS is let in"
    # Nor from elsewhere than the grant says: a connection to this address comes from it.
    ip address add 198.51.100.7/32 dev lo
    serve cy "$q" --allow-players lan
    refused elsewhere 403 -i "rtsp://198.51.100.7:$q/stream"
    never ben player-joined
    never cy player-joined
    never cy device-started
    # visavis itself watches as ever.
    start ana watch "127.0.0.1:$p" --audio-out none --duration 1
    exits ana 0
    stop ben
    stop cy
}

# Who watches when the time is over is sent away, and nobody comes after.
case_players_expiry() {
    local status=0
    serve ben "$p" --allow-players loopback --players-for 8
    timeout 20 ffmpeg -nostdin -v error -i "rtsp://127.0.0.1:$p/stream" -f null - 2>"$dir/long.ffmpeg" || status=$?
    [ "$status" != 124 ] || fail "ffmpeg still watches"
    tells_of player-joined 1 '"transport":"udp"'
    tells_of player-left 1 '"connected_s":[1-8]\.' '"reason":"the stream ended"'
    tells ben "Plain players are not let in any more"
    refused after 403 -i "rtsp://127.0.0.1:$p/stream"
    [ "$(count ben player-joined)" = 1 ] || fail "somebody came after the end"
    stop ben
}

# All that tests/e2e/rtsp.py says.
case_players_negatives() {
    PYTHONDONTWRITEBYTECODE=1 python3 tests/e2e/rtsp.py "$p" "$dir" >"$dir/negatives" 2>"$dir/negatives.log" ||
        fail "$(grep '^FAILED' "$dir/negatives" || tail -n 1 "$dir/negatives.log")"
}

# An intercom: GStreamer watches and says a tone, which is in the recording of the loudspeaker.
case_players_talk() {
    local number=0 hz=400 way url missing status
    missing=$(/usr/bin/python3 tests/e2e/talk.py check 2>&1) || { skip "nobody can talk back: $missing; run ./scripts/install test"; return; }
    serve ben "$p" --allow-players loopback --talk-back --audio-out "$dir/heard.wav"
    explains ben "whoever may watch may speak into this room"
    for way in udp tcp rtsps; do
        hz=$((hz + 200)) url=rtsp://127.0.0.1:$p/stream
        [ "$way" != rtsps ] || url=rtsps${url#rtsp}
        for _ in 1 2 3; do
            status=0
            timeout 30 /usr/bin/python3 tests/e2e/talk.py say "$url" "${way/rtsps/tcp}" 4 "$hz" >"$dir/$way.said" 2>&1 || status=$?
            # GStreamer 1.22 is aborted by itself now and then, while it writes into TLS from two of its threads.
            grep -q 'Bail out! GStreamer-RTSP' "$dir/$way.said" || break
            sees ben player-left "$(count ben player-joined)"
        done
        [ "$status" = 0 ] || fail "$way: GStreamer cannot talk: $(tail -n 1 "$dir/$way.said")"
        number=$(count ben talk-started)
        tells_of talk-started "$number" '"agent":"GStreamer' '"talks":true' \
            "\"secure\":$([ "$way" = rtsps ] && echo true || echo false)" \
            "\"transport\":\"$([ "$way" = udp ] && echo udp || echo tcp)\""
        # It goes with a word, and is heard no longer.
        tells_of talk-ended "$number" '"duration_s":[34]\.' '"talks":false'
        sees ben player-left "$(count ben player-joined)"
        sleep 1
        /usr/bin/python3 tests/e2e/talk.py heard "$dir/heard.wav" 4 "$hz" >"$dir/$way.heard" 2>&1 ||
            fail "$way: $(tail -n 1 "$dir/$way.heard")"
    done
    # Without the grant there is no way back.
    serve cy "$((p + 2))" --allow-players loopback
    ! timeout 30 /usr/bin/python3 tests/e2e/talk.py say "rtsp://127.0.0.1:$((p + 2))/stream" tcp 1 500 >"$dir/off.said" 2>&1 || fail "cy is talked to"
    never cy talk-started
    stop ben
    stop cy
}
