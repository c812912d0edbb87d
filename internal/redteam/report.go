package redteam

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// printer prints the table, a row as soon as it is known.
type printer struct{ out io.Writer }

const (
	requestWidth = 58
	answerWidth  = 44
)

func (p printer) line(format string, args ...any) {
	_, _ = fmt.Fprintf(p.out, format+"\n", args...) // progress is told, not kept
}

func (p printer) begin(report *Report) {
	q := report.Quiet
	p.line("quiet: %d healthy answers, p50 %s, p99 %s; beside a row the p99 may be %s", q.Answers, short(q.P50), short(q.P99),
		short(report.Scale.bound(q.P99)))
	p.line("%-4s %-*s  %-*s  %s", "row", requestWidth, "request", answerWidth, "answer", "verdict")
}

func (p printer) row(result *Result) {
	p.line("%-4s %s", result.Row.Number, result.Row.Name)
	for _, o := range result.Outcomes {
		p.line("%4s %-*s  %-*s  %s", "", requestWidth, cut(o.Request, requestWidth), answerWidth, cut(o.Answer, answerWidth), verdict(o.Err))
		p.reason(o.Err)
	}
	r := result.Reading
	beside := fmt.Sprintf("beside it: %d healthy answers, p50 %s, p99 %s", r.Answers, short(r.P50), short(r.P99))
	p.line("%4s %-*s  %-*s  %s", "", requestWidth, beside, answerWidth, fmt.Sprintf("p99 %.1f x quiet, memory %s", r.Ratio, memory(result.Memory)), verdict(result.Err))
	p.reason(result.Err)
}

// reason says why something failed, indented.
func (p printer) reason(err error) {
	if err == nil {
		return
	}
	for line := range strings.Lines(err.Error()) {
		p.line("%8s! %s", "", strings.TrimRight(line, "\n"))
	}
}

func (p printer) verdict(report *Report) {
	passed, failed := 0, []string(nil)
	for _, result := range report.Results {
		if result.Passed() {
			passed++
			continue
		}
		failed = append(failed, result.Row.Number)
	}
	p.line("")
	p.line("latency: the worst p99 beside a row is %.1f x the quiet one", report.Worst)
	p.line("memory: at most %s resident, bound %s", memory(report.Memory), memory(report.Scale.Memory))
	p.line("process: %s", verdict(report.Ended))
	p.reason(report.Ended)
	if len(failed) > 0 {
		p.line("%d rows pass, FAIL: %s", passed, strings.Join(failed, ", "))
		return
	}
	p.line("%d rows pass", passed)
}

func verdict(err error) string {
	if err != nil {
		return "FAIL"
	}
	return "pass"
}

func memory(bytes int64) string {
	if bytes == 0 {
		return "unknown"
	}
	return fmt.Sprintf("%d MiB", bytes>>20)
}

func short(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }

func cut(text string, width int) string {
	runes := []rune(text)
	if len(runes) <= width {
		return text
	}
	return string(runes[:width-1]) + "…"
}
