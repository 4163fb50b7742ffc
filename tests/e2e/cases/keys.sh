# What keys may be agreed on, and whose they must be. Sourced by ./tests/e2e/run; lib.sh has the words.

# Every suite by itself carries a call.
suite() {
    answer ben "$p" --once --auto=anyone --suites "$1"
    call ana "127.0.0.1:$p" --suites "$1"
    sees ana connected
    [ "$(field ana connected suite)" = "$1" ] || fail "the suite is $(field ana connected suite)"
    flows ana
    flows ben
    hangs_up
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
    hangs_up
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
