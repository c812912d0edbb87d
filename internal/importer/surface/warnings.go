package surface

import (
	"fmt"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// Warnings collects what is to be said of one file: of each code one warning,
// however often it held.
type Warnings struct {
	File string
	all  []*counted
}

type counted struct {
	code, one, many, whole string
	times                  int
}

func (w *Warnings) of(code string) *counted {
	for _, c := range w.all {
		if c.code == code {
			return c
		}
	}
	c := &counted{code: code}
	w.all = append(w.all, c)
	return c
}

// Add counts something, which the warning names after its number: "1 name cannot
// be read.", "2 names cannot be read."
func (w *Warnings) Add(code, one, many string) {
	c := w.of(code)
	c.one, c.many = one, many
	c.times++
}

// Say says a sentence once.
func (w *Warnings) Say(code, sentence string) { w.of(code).whole = sentence }

// Emit gives the warnings in the order in which their first cause stood.
func (w *Warnings) Emit(out record.Emitter) error {
	for _, c := range w.all {
		message := c.whole
		if message == "" {
			text := c.one
			if c.times > 1 {
				text = c.many
			}
			message = fmt.Sprintf("%d %s.", c.times, text)
		}
		if err := out.Warn(record.Warning{Position: record.Position{File: w.File}, Code: c.code, Message: message}); err != nil {
			return err
		}
	}
	return nil
}

// Text is a text that can be kept, and empty with a warning if it cannot.
func (w *Warnings) Text(text string) string {
	if Unfit(text) == "" {
		return text
	}
	w.Add("TEXT_UNREADABLE", "text is too long or has characters that cannot be read and was left out",
		"texts are too long or have characters that cannot be read and were left out")
	return ""
}
