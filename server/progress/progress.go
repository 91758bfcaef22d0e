// Package progress shows how far long work is: a bar on a terminal, a line now
// and then elsewhere, so that logs stay readable.
package progress

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// quiet is how long work must take before a log hears of it, and how often.
const quiet = 5 * time.Second

// Bar counts towards a total. Safe for concurrent use.
type Bar struct {
	mu    sync.Mutex
	w     io.Writer
	what  string
	done  int
	total int
	next  time.Time
	bar   *progressbar.ProgressBar // nil when w is no terminal
}

// New starts a bar for work of total parts; a total below 1 is set by Set.
func New(w io.Writer, what string, total int) *Bar {
	b := &Bar{w: w, what: what, total: total, next: time.Now().Add(quiet)}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		b.bar = progressbar.NewOptions(max(total, 1), progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(what),
			progressbar.OptionShowCount(), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond))
	}
	return b
}

// Set says how much is done of how much.
func (b *Bar) Set(done, total int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done, b.total = done, total
	b.show()
}

// Add says that n more parts are done.
func (b *Bar) Add(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done += n
	b.show()
}

func (b *Bar) show() {
	if b.bar != nil {
		if b.bar.GetMax() != b.total {
			b.bar.ChangeMax(b.total)
		}
		_ = b.bar.Set(b.done) // drawing only
		return
	}
	if now := time.Now(); now.After(b.next) {
		b.next = now.Add(quiet)
		fmt.Fprintf(b.w, "%s: %d of %d\n", b.what, b.done, b.total)
	}
}

// Finish clears the bar.
func (b *Bar) Finish() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bar != nil {
		_ = b.bar.Finish() // drawing only
	}
}
