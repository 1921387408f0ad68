# shellcheck shell=bash
# Runs suites, counts their tests, and tells the totals. A suite that ran nothing, or skipped something, has failed: a test that
# did not run proves nothing.

logs=$(mktemp --directory)
rows=()
total_passed=0
total_failed=0

# suite NAME COUNTER COMMAND...: runs the command; COUNTER reads its log and prints "passed failed skipped".
# Not under `||` or `if`: there, bash would not let a function that is the command stop at its first error.
suite() {
    local name=$1 counter=$2 status passed failed skipped note=
    shift 2
    say "$name"
    set +e
    "$@" 2>&1 | tee "$logs/out"
    status=${PIPESTATUS[0]}
    set -e
    read -r passed failed skipped < <("$counter")
    if ((passed + failed == 0)); then
        note='did not run'
    elif ((skipped > 0)); then
        note="skipped $skipped"
    elif ((status != 0 && failed == 0)); then
        note="ended with status $status"
    fi
    if [[ -n $note ]]; then failed=$((failed + 1)); fi
    total_passed=$((total_passed + passed))
    total_failed=$((total_failed + failed))
    rows+=("$(printf '%-26s %6d passed %6d failed  %s' "$name" "$passed" "$failed" "$note")")
}

# check NAME COMMAND...: a check that has no tests to count; it counts only when it fails.
check() {
    local name=$1 result=ok
    shift
    say "$name"
    if ! "$@"; then
        result=failed
        total_failed=$((total_failed + 1))
    fi
    rows+=("$(printf '%-26s %6s' "$name" "$result")")
}

# Cargo prints one line for each test program.
count_cargo() {
    awk '/^test result: / { gsub(";", ""); for (i = 2; i < NF; i++) { if ($(i + 1) == "passed") p += $i; if ($(i + 1) == "failed") f += $i; if ($(i + 1) == "ignored") s += $i } }
         END { print p + 0, f + 0, s + 0 }' "$logs/out"
}

# pytest writes its report to $logs/pytest.xml.
count_pytest() {
    [[ -s $logs/pytest.xml ]] || { echo 0 0 0 && return; }
    python3 - "$logs/pytest.xml" <<'PYTHON'
import sys
import xml.etree.ElementTree as xml

number = lambda name: sum(int(suite.get(name, 0)) for suite in xml.parse(sys.argv[1]).iter("testsuite"))
failed, skipped = number("failures") + number("errors"), number("skipped")
print(max(number("tests") - failed - skipped, 0), failed, skipped)
PYTHON
}

# Node writes a report in the TAP form to $logs/node.tap, with the sums at its end.
count_node() {
    [[ -s $logs/node.tap ]] || { echo 0 0 0 && return; }
    awk '/^# pass / { p = $3 } /^# (fail|cancelled) / { f += $3 } /^# (skipped|todo) / { s += $3 } END { print p + 0, f + 0, s + 0 }' "$logs/node.tap"
}

# Prints the table and, as the last line, the sums. Fails when anything did.
totals() {
    say Totals
    printf '%s\n' "${rows[@]}"
    printf '%d passed, %d failed\n' "$total_passed" "$total_failed"
    ((total_failed == 0 && total_passed > 0))
}
