# The table and the matrices of scripts/fidelity.sh, from the lines that the tests print:
# FIDELITY test injection demand figure unit note verdict, and MATRIX form injected told ms.

$1 == "FIDELITY" {
    key = $2 FS $3 FS $4
    if (!(key in seen)) { seen[key] = 1; keys[++rows] = key }
    if ($5 != "") figures[key] = figures[key] " " $5
    unit[key] = $6; note[key] = $7
    tries[key]++
    if ($8 == "holds") held[key]++
    if ($8 ~ /^skipped/) reason[key] = $8; else judged[key]++
}

$1 == "MATRIX" { ms[$2, $3, $4] += $5; form[$2]; causes[$3]; told[$4] }

# The middle figure, and the least and the greatest where there are several.
function spread(text,   n, list, i, j, swap) {
    n = split(text, list, " ")
    if (n == 0) return ""
    for (i = 2; i <= n; i++)
        for (j = i; j > 1 && list[j] + 0 < list[j - 1] + 0; j--) { swap = list[j]; list[j] = list[j - 1]; list[j - 1] = swap }
    if (n == 1) return short(list[1])
    return short(list[int(n / 2) + 1]) " (" short(list[1]) " to " short(list[n]) ")"
}

function short(figure) { return sprintf(figure + 0 == int(figure) ? "%d" : "%.2f", figure) }

function verdict(key) {
    if (!judged[key]) return reason[key]
    if (held[key] == judged[key]) return "holds"
    return "falls short" (tries[key] > 1 ? " (" judged[key] - held[key] " of " judged[key] ")" : "")
}

# One matrix, and its macro-F1: the mean over what was injected of the harmonic mean of recall and precision, each row counting
# as much as any other however long it was injected.
function matrix(name,   cause, class, other, sum, seen, recall, precision, f1, count, line) {
    printf "\n**%s**, ms, sum over canaries:\n\n| injected |", name
    for (class in told) printf " %s |", class
    printf " recall %% |\n|---|"
    for (class in told) printf "---|"
    printf "---|\n"
    for (cause in causes)
        for (class in told) sum[cause] += ms[name, cause, class]
    for (cause in causes) {
        if (!sum[cause]) continue
        line = "| " cause " |"
        for (class in told) line = line " " (ms[name, cause, class] + 0) " |"
        recall = ms[name, cause, cause] / sum[cause]
        seen = 0
        for (other in causes) if (sum[other]) seen += ms[name, other, cause] / sum[other]
        precision = seen ? recall / seen : 0
        f1 += recall + precision ? 2 * recall * precision / (recall + precision) : 0
        count++
        printf "%s %.1f |\n", line, 100 * recall
    }
    printf "\nMacro-F1 %.3f (demand: %s).\n", count ? f1 / count : 0, name == "quiet" ? "0.95" : "0.85"
}

END {
    print "| test | injection | demand | figure | verdict |"
    print "|---|---|---|---|---|"
    for (row = 1; row <= rows; row++) {
        key = keys[row]; split(key, part, FS)
        printf "| %s | %s | %s | %s %s %s | %s |\n", part[1], part[2], part[3], spread(figures[key]), unit[key], note[key], verdict(key)
    }
    for (name in form) matrix(name)
}
