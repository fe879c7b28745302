# Compares two files of "KEY VALUE" lines and names the first differences, and how many there are.
#
#   awk -v what=order -f compare.awk EXPECTED ACTUAL
#
# The last line is the number of differences; the exit code is 0 when there are none.
function differ(key, wanted, got) {
    if (++differences <= 10)
        printf "%s %s: expected %s, got %s\n", what, substr(key, 2), wanted, got
}
# Keys are text, however much like numbers they look.
FILENAME == ARGV[1] { expected["k" $1] = $2; next }
{
    key = "k" $1
    if (!(key in expected))
        differ(key, "nothing", $2)
    else if (expected[key] "" != $2 "")
        differ(key, expected[key], $2)
    delete expected[key]
}
END {
    for (key in expected)
        differ(key, expected[key], "nothing")
    print differences + 0
    exit differences > 0
}
