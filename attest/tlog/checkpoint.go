package tlog

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// MaxCheckpoint bounds the bytes of a signed checkpoint, cosignatures included.
const MaxCheckpoint = 16 << 10

// ErrCheckpoint is wrapped by every refusal of ParseCheckpoint.
var ErrCheckpoint = errors.New("checkpoint refused")

// Checkpoint is a statement about a log: at Size, its root was Root.
type Checkpoint struct {
	Origin string
	Size   int64
	Root   Hash
}

// Text is the signed text: origin, size and base64 root, a line each
// (C2SP tlog-checkpoint, without extension lines).
func (c Checkpoint) Text() string {
	return c.Origin + "\n" + strconv.FormatInt(c.Size, 10) + "\n" +
		base64.StdEncoding.EncodeToString(c.Root[:]) + "\n"
}

// ParseCheckpoint parses a signed checkpoint. The note must carry a good
// signature of v, and its origin must be v's name; cosignatures of others are
// allowed and not judged here. Extension lines are refused, since this log
// writes none. Errors wrap ErrCheckpoint.
func ParseCheckpoint(noteText string, v note.Verifier) (Checkpoint, error) {
	if len(noteText) > MaxCheckpoint {
		return Checkpoint{}, fmt.Errorf("%w: longer than %d bytes", ErrCheckpoint, MaxCheckpoint)
	}
	n, err := note.Open([]byte(noteText), note.VerifierList(v))
	if err != nil {
		var unverified *note.UnverifiedNoteError
		if errors.As(err, &unverified) {
			return Checkpoint{}, fmt.Errorf("%w: not signed by the log %q", ErrCheckpoint, v.Name())
		}
		return Checkpoint{}, fmt.Errorf("%w: %v", ErrCheckpoint, err)
	}
	c, err := parseText(n.Text)
	if err != nil {
		return Checkpoint{}, err
	}
	if c.Origin != v.Name() {
		return Checkpoint{}, fmt.Errorf("%w: origin is %q, the key is for %q", ErrCheckpoint, c.Origin, v.Name())
	}
	return c, nil
}

func parseText(text string) (Checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 || lines[3] != "" || lines[0] == "" {
		return Checkpoint{}, fmt.Errorf("%w: the text must have exactly three lines: origin, size, root", ErrCheckpoint)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || checkSize(size) != nil || strconv.FormatInt(size, 10) != lines[1] {
		return Checkpoint{}, fmt.Errorf("%w: line 2 is no tree size", ErrCheckpoint)
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != len(Hash{}) {
		return Checkpoint{}, fmt.Errorf("%w: line 3 is not the base64 of 32 bytes", ErrCheckpoint)
	}
	c := Checkpoint{Origin: lines[0], Size: size, Root: Hash(root)}
	// Re-writing settles what the decoders forgive, such as line breaks in base64.
	if c.Text() != text {
		return Checkpoint{}, fmt.Errorf("%w: the text is not in its one canonical form", ErrCheckpoint)
	}
	return c, nil
}
