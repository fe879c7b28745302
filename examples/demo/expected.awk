# Recomputes, independently of the services, which orders fit: greedily for each customer, in the order of the file, in
# whole cents (exact in awk's numbers up to 2^53).
#
#   awk -v limit=10000 -v accounts=FILE -f expected.awk PURCHASES
#
# Prints one line an order, its number and "completed" or "cancelled", and writes to FILE one line a customer who has
# credit reserved: id and cents, unsorted.
{
    sub(/\r$/, "")
    customer = $(NF - 3)
    split($NF, dollars, ".")
    cents = dollars[1] * 100 + substr(dollars[2] "00", 1, 2)
    if (reserved["c" customer] + cents <= limit) {
        reserved["c" customer] += cents
        outcome = "completed"
    } else
        outcome = "cancelled"
    if (outcome == "completed")
        has_reserved["c" customer] = 1
    print NR, outcome
}
END {
    for (key in has_reserved)
        printf "%s %.0f\n", substr(key, 2), reserved[key] > accounts
}
