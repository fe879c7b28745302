# What the messages of a service tell, once they have arrived, from what `txm messages list --format json` prints:
#
#   awk -f figures.awk OUTBOX-OF-SENDER INBOX-OF-RECEIVER
#
# Prints, one `name value` a line:
#   published, undispatched    messages in the outbox, and those that no broker has acknowledged
#   applied                    messages that took effect
#   first_us, last_us          when the first message was stored, and when the last effect was
# and for each effect `latency us`: from the message being stored by its sender to its effect being stored.
# They are the stores' own times: they need nothing that a killed process would have to remember.
function text_of(key) {
    return match($0, "\"" key "\":\"[^\"]*\"") ? substr($0, RSTART + length(key) + 4, RLENGTH - length(key) - 5) : ""
}
# Microseconds since 1970, of ISO 8601 in UTC: days as in the proleptic Gregorian calendar.
function us_of(time,    p, y, m) {
    split(time, p, /[-T:.+]/)
    y = p[1] - (p[2] < 3)
    m = (p[2] + 9) % 12
    return (((365 * y + int(y / 4) - int(y / 100) + int(y / 400) + int((153 * m + 2) / 5) + p[3] - 719469) * 24 + p[4]) \
        * 3600 + p[5] * 60 + p[6]) * 1000000 + (time ~ /\./ ? substr(p[7] "000000", 1, 6) : 0)
}
FILENAME == ARGV[1] {
    at = us_of(text_of("stored_at"))
    stored[text_of("message_id")] = at
    if (published++ == 0 || at < first)
        first = at
    undispatched += text_of("state") != "dispatched"
    next
}
{
    at = us_of(text_of("handled_at"))
    applied++
    if (at > last)
        last = at
    printf "latency %.0f\n", at - stored[text_of("message_id")]
}
END {
    printf "published %d\nundispatched %d\napplied %d\nfirst_us %.0f\nlast_us %.0f\n", published, undispatched, applied, first, last
}
