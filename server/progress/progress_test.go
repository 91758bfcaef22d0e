package progress

import (
	"strings"
	"testing"
	"time"
)

func TestLogsHearSeldom(t *testing.T) {
	var w strings.Builder
	b := New(&w, "work", 1000)
	for range 500 {
		b.Add(1)
	}
	if w.Len() > 0 {
		t.Fatalf("short work was announced: %q", w.String())
	}
	b.next = time.Time{}
	b.Set(501, 1000)
	b.Add(1)
	b.Finish()
	if got := w.String(); got != "work: 501 of 1000\n" {
		t.Fatalf("%q", got)
	}
}
