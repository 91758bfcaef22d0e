package stamp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// DefaultEvery is how often the head is looked at.
const DefaultEvery = time.Minute

// skewWorthAWord is how far the authority's clock may be from ours before the log says so.
const skewWorthAWord = time.Minute

// Source returns the current checkpoint: its signed note and its size.
type Source func(ctx context.Context) (note string, size int64, err error)

// Options of a Stamper.
type Options struct {
	Source    Source
	Authority *Authority
	// Dir keeps <size>.checkpoint and <size>.tsr; it is made when needed.
	Dir string
	// Every defaults to DefaultEvery.
	Every time.Duration
	// Clock defaults to time.Now; it only judges how far the authority's is off.
	Clock  func() time.Time
	Logger *slog.Logger
}

// Stamper keeps stamps of the log's head as it moves. One goroutine runs it;
// several servers may share a directory, since the note of a size is the same
// for all of them.
type Stamper struct{ o Options }

// New checks o.
func New(o Options) (*Stamper, error) {
	if o.Source == nil || o.Authority == nil || o.Dir == "" || o.Logger == nil {
		return nil, errors.New("a stamper needs source, authority, directory and logger")
	}
	if o.Every <= 0 {
		o.Every = DefaultEvery
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return &Stamper{o: o}, nil
}

// Dir is where the stamps of a checkpoint file are kept.
func Dir(checkpointFile string) string { return checkpointFile + ".stamps" }

// Run stamps at once and then at each interval until ctx ends. A failure is
// logged; the next interval tries again, with the head of that moment.
func (s *Stamper) Run(ctx context.Context) {
	tick := time.NewTicker(s.o.Every)
	defer tick.Stop()
	for {
		if _, err := s.Once(ctx); err != nil && ctx.Err() == nil {
			reason := Reason("local")
			var r *Refusal
			if errors.As(err, &r) {
				reason = r.Reason
			}
			s.o.Logger.Warn("the checkpoint was not stamped", "reason", string(reason), "error", err.Error())
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Once stamps the head unless a stamp of its size is kept, and reports whether it did.
func (s *Stamper) Once(ctx context.Context) (bool, error) {
	note, size, err := s.o.Source(ctx)
	if err != nil {
		return false, fmt.Errorf("current checkpoint: %w", err)
	}
	base := filepath.Join(s.o.Dir, strconv.FormatInt(size, 10))
	kept, err := s.kept(base, note)
	if err != nil || kept {
		return false, err
	}
	answer, at, err := s.o.Authority.Stamp(ctx, []byte(note))
	if err != nil {
		return false, err
	}
	if err := os.MkdirAll(s.o.Dir, 0o700); err != nil {
		return false, err
	}
	// The stamp comes last: where it is, what it is over is there too.
	if err := write(base+".checkpoint", []byte(note)); err != nil {
		return false, err
	}
	if err := write(base+".tsr", answer); err != nil {
		return false, err
	}
	s.o.Logger.Info("checkpoint stamped", "size", size, "time", at.Format(time.RFC3339))
	if skew := s.o.Clock().Sub(at); skew.Abs() > skewWorthAWord {
		s.o.Logger.Warn("the external authority's clock is far from ours", "ours_ahead_by", skew.Round(time.Second).String())
	}
	return true, nil
}

// kept reports whether the size has its stamp. One over another checkpoint of
// the same size means two histories: it is evidence and stays as it is.
func (s *Stamper) kept(base, note string) (bool, error) {
	if _, err := os.Stat(base + ".tsr"); errors.Is(err, os.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	old, err := os.ReadFile(base + ".checkpoint")
	if err != nil {
		return false, err
	}
	// Only the text is compared: witnesses may have added their lines since.
	was, _, _ := strings.Cut(string(old), "\n\n")
	is, _, _ := strings.Cut(note, "\n\n")
	if was != is {
		return false, fmt.Errorf("%s.checkpoint, which is stamped, is not the log's checkpoint of that size: "+
			"keep it and call your auditor", base)
	}
	return true, nil
}

// write replaces file whole: temporary file, fsync, rename, fsync of the directory.
func write(file string, content []byte) error {
	dir := filepath.Dir(file)
	tmp, err := os.CreateTemp(dir, ".stamp-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(content)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), file); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
