# Who is let in, to watch and to ring. Sourced by ./tests/e2e/run; lib.sh has the words.

case_stream() {
    start ben stream --port "$p" --allow anyone --viewers 2 \
        --on-viewer "echo \"\$VISAVIS_EVENT \$VISAVIS_ADDRESS \$VISAVIS_VIEWERS\" >>'$dir/hook'" --audio synthetic --video synthetic:320x240@10
    sees ben listening
    local watch=(watch "127.0.0.1:$p" --audio-out none --video-out "$out/null.y4m@10")
    start ana "${watch[@]}"
    start cy "${watch[@]}"
    flows ana
    flows cy
    await "$dir/ben.events" '"viewers":2' 10 || fail "ben does not count two viewers"
    start eve "${watch[@]}"
    exits eve 5
    explains eve 'As many are watching'
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
    await "$dir/hook" 'left 127.0.0.1 0' 5 || fail "the hook was told: $(cat "$dir/hook")"
    [ "$(grep -c . "$dir/hook")" = 4 ] || fail "the hook was told: $(cat "$dir/hook")"
    grep -q 'joined 127.0.0.1 2' "$dir/hook" || fail "the hook was told: $(cat "$dir/hook")"
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
