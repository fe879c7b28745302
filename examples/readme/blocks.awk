# Checks that each code block of a document is a region of a file that is compiled or run:
#
#   <!-- examples/readme/borrowed.cpp#borrowed -->
#   ```cpp
#   …what stands in that file between the lines "[borrowed]" and "[/borrowed]"…
#   ```
#
# A region is compared without the indentation of its markers. Blocks of language text are not code. Run it in the project's folder. Prints what differs; the last line is the numbers
# of blocks that agree and that do not.
function region(path, name,    line, inside, text, found, indent) {
    while ((getline line < path) > 0) {
        if (line ~ "^[ ]*(//|#|--) \\[/" name "\\]$")
            inside = 0
        if (inside)
            text = text substr(line, indent + 1) "\n"
        if (line ~ "^[ ]*(//|#|--) \\[" name "\\]$") {
            inside = found = 1
            match(line, "^ *")
            indent = RLENGTH
        }
    }
    close(path)
    return found ? text : "(no such region)\n"
}
function complain(what) {
    print FILENAME ":" start ": " what
    bad++
}
/^<!-- examples\/.* -->$/ { source = $2; next }
/^```/ && !inside {
    inside = 1
    start = FNR
    language = substr($0, 4)
    text = ""
    next
}
/^```$/ && inside {
    inside = 0
    if (language == "text")
        next
    if (source == "") {
        complain("this block says not which example it is from")
        next
    }
    split(source, part, "#")
    wanted = region(part[1], part[2])
    if (text == wanted)
        good++
    else
        complain("this block differs from " source ":\n" wanted)
    source = ""
    next
}
inside { text = text $0 "\n"; next }
$0 != "" { source = "" }
END { print good + 0, bad + 0 }
