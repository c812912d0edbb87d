package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/exposuregraph/exposuregraph/internal/authority"
)

const progressDocument = `subscription Progress($organization: String!, $id: ID!) {
  syncProgress(organization: $organization, id: $id) { phase records }
}`

// redraw is how often the time on a progress bar goes on.
const redraw = 250 * time.Millisecond

// progressBar is a line of a terminal that shows how far an import has come, by what
// the server says of it. Whatever becomes of that, the import goes on: without news
// the line is taken away.
type progressBar struct {
	p      Process
	id     string // of the delivery
	begun  time.Time
	frame  progressFrame
	width  int // of what is drawn
	cancel context.CancelFunc
	gone   chan struct{} // closed when the line is
}

type progressFrame struct {
	Phase   string
	Records int64
}

// startProgress follows an import that is sent with the id of the bar.
func startProgress(ctx context.Context, p Process, server *client, organization string) *progressBar {
	ctx, cancel := context.WithCancel(ctx)
	b := &progressBar{p: p, id: uuid.NewString(), begun: p.Now(), cancel: cancel, gone: make(chan struct{})}
	frames, ended := make(chan progressFrame), make(chan struct{})
	go func() {
		defer close(ended)
		variables := map[string]any{"organization": organization, "id": b.id}
		// Why it ends is of no interest: the answer to the import says what counts.
		_ = server.follow(ctx, progressDocument, variables, maxSilence, func(data json.RawMessage) error {
			var said struct{ SyncProgress progressFrame }
			if err := json.Unmarshal(data, &said); err != nil {
				return err
			}
			select {
			case frames <- said.SyncProgress:
			case <-ctx.Done():
			}
			return nil
		})
	}()
	go b.show(frames, ended)
	return b
}

// show draws until there is no more to come, and leaves nothing behind.
func (b *progressBar) show(frames <-chan progressFrame, ended <-chan struct{}) {
	defer close(b.gone)
	defer b.draw("")
	ticker := time.NewTicker(redraw)
	defer ticker.Stop()
	for {
		select {
		case b.frame = <-frames:
		case <-ticker.C:
		case <-ended:
			return
		}
		if b.frame.Phase != "" {
			b.draw(b.line())
		}
	}
}

// steps are what the bar is divided into.
var steps = authority.Phases[:len(authority.Phases)-1] // what failed is said otherwise

// line is one of some 70 characters. A server may have phases that are not known here.
func (b *progressBar) line() string {
	done := 0
	for i, phase := range steps {
		if strings.EqualFold(string(phase), b.frame.Phase) {
			done = i
		}
	}
	const each = 3
	bar := strings.Repeat("=", each*done) + ">" + strings.Repeat(" ", each*(len(steps)-1-done))
	return fmt.Sprintf("[%s] %s  %s records  %s", bar, strings.ToLower(oneLine(b.frame.Phase)), thousands(b.frame.Records), clock(b.p.Now().Sub(b.begun)))
}

// draw puts text in the place of what is there.
func (b *progressBar) draw(text string) {
	if text == "" && b.width == 0 {
		return
	}
	line := "\r" + text + strings.Repeat(" ", max(b.width-len(text), 0))
	if text == "" {
		line += "\r"
	}
	b.width = len(text)
	_, _ = fmt.Fprint(b.p.Stderr, line)
}

// stop takes the line away, before something else is printed.
func (b *progressBar) stop() {
	if b == nil {
		return
	}
	b.cancel()
	<-b.gone
}

// thousands groups digits.
func thousands(n int64) string {
	digits := fmt.Sprint(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// clock is a time as 2:05.
func clock(d time.Duration) string {
	return fmt.Sprintf("%d:%02d", int(d.Minutes()), int(d.Seconds())%60)
}
