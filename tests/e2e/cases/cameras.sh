# Cameras, and other RTSP servers, that somebody watches: `watch` with an rtsp:// address. Sourced by ./tests/e2e/run; lib.sh and
# players.sh have the words.

# watches PEER ARGUMENT…: ana or somebody watches, with nothing to hear or see it by.
watches() {
    local peer=$1
    shift
    start "$peer" watch "$@" --audio-out none
}

# recorded FILE SECONDS VIDEO AUDIO: ffmpeg decodes all of a recording, and has nothing to complain about.
recorded() {
    local file=$1 seconds=$2 found
    found=$(ffprobe -v error -show_entries stream=codec_name -of csv=p=0 "$file" 2>&1 | tr '\n' ' ')
    [ "$found" = "$3 ${4:+$4 }" ] || fail "$(basename "$file") holds $found"
    found=$(ffprobe -v error -count_frames -select_streams v -show_entries stream=nb_read_frames -of csv=p=0 "$file" 2>"$file.ffprobe")
    [ "${found:-0}" -ge $((seconds * 25)) ] || fail "$(basename "$file") has ${found:-no} pictures of $seconds s"
    ffmpeg -nostdin -v warning -i "$file" -f null - 2>"$file.ffmpeg" || fail "$(basename "$file") cannot be decoded"
    # What it makes of milliseconds while it writes to nowhere, and of one channel, are no complaints of the file.
    ! grep -hvE 'monotonically increasing dts|Guessed Channel Layout' "$file.ffprobe" "$file.ffmpeg" >"$file.complaints" ||
        fail "$(basename "$file"): $(head -n 1 "$file.complaints")"
}

case_watch_camera() {
    local way path video audio url
    printf 'ana:secret\n' >"$dir/passwords"
    chmod 600 "$dir/passwords"
    serve ben "$p" --allow-players loopback --password-file "$dir/passwords"
    while read -r way path video audio; do
        path=${path#-}
        url=rtsp://127.0.0.1:$p/stream$path
        watches "ana-$way" "$url" --transport "$way" --password-file "$dir/passwords" --record "$dir/$way.mkv" --duration 3
        exits "ana-$way" 0
        grep -q "\"event\":\"camera-plays\".*\"secure\":false,\"transport\":\"$way\",\"url\":\"$url\"" "$dir/ana-$way.events" ||
            fail "it plays otherwise: $(grep camera-plays "$dir/ana-$way.events")"
        grep -q '"event":"camera-ended".*"outcome":"ended"' "$dir/ana-$way.events" || fail "it ends otherwise"
        recorded "$dir/$way.mkv" 3 "$video" "$audio"
        ! grep -q secret "$dir/ana-$way".{events,log} || fail "a password is told"
    done <<<'udp - h264 opus
tcp /mjpeg mjpeg opus'
    stop ben
}

# Whoever is there in place of the camera.
case_watch_camera_tls() {
    local hash
    serve ben "$p" --allow-players loopback
    watches eva "rtsps://127.0.0.1:$p/stream/pcmu"
    exits eva 7
    explains eva "--fingerprint"
    hash=$(sed -n 's/.*--fingerprint \([0-9a-f]\{64\}\).*/\1/p' "$dir/eva.log")
    [ "$hash" = "$(openssl x509 -in "$dir/ben/players.crt" -noout -fingerprint -sha256 | sed 's/.*=//; s/://g' | tr A-F a-f)" ] ||
        fail "another hash than openssl's: $hash"
    watches ana "rtsps://127.0.0.1:$p/stream/pcmu" --fingerprint "$hash" --record "$dir/tls.mkv" --duration 3
    exits ana 0
    grep -q '"event":"camera-plays".*"formats":\["H264","PCMU"\].*"secure":true,"transport":"tcp"' "$dir/ana.events" ||
        fail "it plays otherwise: $(grep camera-plays "$dir/ana.events")"
    recorded "$dir/tls.mkv" 3 h264 pcm_mulaw
    stop ben
}

# Each with its own exit status, and words that say what to do.
case_watch_camera_refused() {
    printf 'ana:secret\n' >"$dir/passwords"
    printf 'ana:wrong\n' >"$dir/others"
    chmod 600 "$dir/passwords" "$dir/others"
    watches gone "rtsp://127.0.0.1:$q/door"
    exits gone 3
    watches person "127.0.0.1:$q" --transport tcp
    exits person 2
    explains person "--transport is for addresses of cameras"
    watches odd "rtsp://"
    exits odd 2
    serve ben "$p" --allow-players loopback --password-file "$dir/passwords"
    watches nobody "rtsp://127.0.0.1:$p/stream"
    exits nobody 4
    explains nobody "--password-file"
    watches wrong "rtsp://127.0.0.1:$p/stream" --password-file "$dir/others"
    exits wrong 4
    explains wrong "The camera refused the name or the password"
    watches lost "rtsp://127.0.0.1:$p/cellar" --password-file "$dir/passwords"
    exits lost 4
    explains lost "There is no such stream"
    stop ben
    # Something that speaks no RTSP.
    python3 -c 'import socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
peer, _ = server.accept()
peer.sendall(b"\x15\x03\x03\x00\x02\x02\x46")
peer.recv(4096)' "$q" &
    listens "$q"
    watches tls "rtsp://127.0.0.1:$q/door"
    exits tls 9
    explains tls "rtsp:// or rtsps://"
}

# One that is switched off and on again, and has another beginning then.
case_watch_camera_again() {
    local flows='"camera":{.*"received":{[^}]*"fps":[23][0-9]\.'
    serve ben "$p" --allow-players loopback
    watches ana "rtsp://127.0.0.1:$p/stream" --record "$dir/again.mkv" --video-out "$out/null.y4m@30"
    sees ana camera-plays
    becomes ana "$flows"
    kill -KILL "${pids[ben]}"
    sees ana camera-lost
    becomes ana '"phase":"reconnecting"'
    serve ben "$p" --allow-players loopback
    sees ana camera-plays 2
    [ "$(last ana camera-plays '"after_s":[0-9]')" = yes ] || fail "it does not say how long: $(grep camera-plays "$dir/ana.events" | tail -n 1)"
    becomes ana "$flows"
    control ana 0 status
    grep -q "rtsp://127.0.0.1:$p/stream.*H.264 and Opus over UDP.*at most 400 ms" <<<"$answer" || fail "the status says: $answer"
    control ana 0 hangup
    exits ana 0
    recorded "$dir/again.mkv" 1 h264 opus
    # Both beginnings are in it, and the time between them.
    ffprobe -v error -select_streams v -show_entries packet=pts_time -of csv=p=0 "$dir/again.mkv" |
        awk 'NR > 1 && $1 - last > 1 { gaps += 1 } { pictures[gaps + 0] += 1; last = $1 }
            END { exit !(gaps == 1 && pictures[0] >= 20 && pictures[1] >= 20) }' ||
        fail "again.mkv is not two beginnings with a while between them"
    stop ben
}

# One picture, of either format, and no loudspeaker for that.
case_watch_camera_snapshot() {
    local path
    serve ben "$p" --allow-players loopback
    for path in "" /mjpeg; do
        watches "ana${path#/}" "rtsp://127.0.0.1:$p/stream$path" --snapshot "$dir/door${path#/}.jpg"
        exits "ana${path#/}" 0
        [ "$(ffprobe -v error -show_entries stream=codec_name,width,height -of csv=p=0 "$dir/door${path#/}.jpg")" = mjpeg,320,240 ] ||
            fail "that is no picture"
    done
    stop ben
}

# A camera behind a wall that lets no datagram through.
case_watch_camera_wall() {
    serve ben "$p" --allow-players loopback
    # Whatever is not for the port of the camera itself.
    wall "udp sport { $p, $((p + 1)) }"
    watches ana "rtsp://127.0.0.1:$p/stream" --record "$dir/wall.mkv" --duration 3
    exits ana 0 30
    [ "$(last ana camera-plays '"transport":"tcp"')" = yes ] || fail "it plays otherwise: $(grep camera-plays "$dir/ana.events")"
    no_wall
    recorded "$dir/wall.mkv" 3 h264 opus
    stop ben
}
