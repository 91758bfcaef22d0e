package lineage

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"affidavit/attest/tlog"
)

// writeCheckpointFile replaces the file whole: a reader sees the old or the new one.
func writeCheckpointFile(path, noteText string) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".checkpoint-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(noteText)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// keepCheckpoint writes the new note unless the file holds a later one: two
// servers on one machine may share it.
func (l *Ledger) keepCheckpoint(a *appender) error {
	text, err := os.ReadFile(l.cfg.CheckpointFile)
	if err == nil {
		if kept, err := tlog.ParseCheckpoint(string(text), l.verifier); err == nil && kept.Size >= a.size {
			return nil
		}
	}
	return writeCheckpointFile(l.cfg.CheckpointFile, a.note)
}

// checkAgainstFile refuses a database that is older than, or does not extend,
// the checkpoint kept outside it: a restored backup is a rollback.
func (l *Ledger) checkAgainstFile(ctx context.Context) error {
	if l.cfg.CheckpointFile == "" {
		return nil
	}
	text, err := os.ReadFile(l.cfg.CheckpointFile)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return &Error{Code: CodeUnavailable, Field: "checkpoint_file", Message: "cannot be read", Err: err}
	}
	kept, err := tlog.ParseCheckpoint(string(text), l.verifier)
	if err != nil {
		return (&Error{Code: CodeRollback, Field: "checkpoint_file", Message: "is no checkpoint of this log", Err: err}).
			WithRemedy("it belongs to another log, or was edited: find out which before you move it away")
	}
	return l.View(ctx, Scope{All: true}, func(r *ReadTx) error {
		if r.Size() < kept.Size {
			return Errf(CodeRollback, "database", "it holds %d entries, but a checkpoint over %d was published", r.Size(), kept.Size).
				WithRemedy("restore a newer backup; entries that others hold receipts for are missing from this one")
		}
		root, err := tlog.Root(ctx, r.HashReader(), kept.Size)
		if err != nil {
			return err
		}
		if root != kept.Root {
			return Errf(CodeRollback, "database", "its first %d entries are not those of the published checkpoint", kept.Size).
				WithRemedy("this is another history under the same key: keep both and call your auditor")
		}
		return nil
	})
}
