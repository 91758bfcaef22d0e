package pack

import (
	"archive/zip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"
)

// ErrUnreadable marks input that is not a pack at all: nothing was judged.
var ErrUnreadable = errors.New("not a readable evidence pack")

// Archive is an opened pack. Its names are within the layout and unique; no
// file is larger than its class allows. Nothing else is checked yet.
type Archive struct {
	files map[string]*zip.File
	names []string // sorted
}

// meteredReader fails after a budget of bytes, so that a hostile zip
// directory cannot make archive/zip allocate without bound.
type meteredReader struct {
	r      io.ReaderAt
	budget int64
}

var errBudget = errors.New("the zip's directory is too large")

func (m *meteredReader) ReadAt(p []byte, off int64) (int, error) {
	if m.budget < 0 {
		return m.r.ReadAt(p, off) // the directory is parsed: no limit on contents here
	}
	if m.budget -= int64(len(p)); m.budget < 0 {
		m.budget = 0
		return 0, errBudget
	}
	return m.r.ReadAt(p, off)
}

// Open reads the directory of a zip of size bytes and refuses hostile ones:
// too many or too large files, high ratios, links, encryption, names outside
// the layout, duplicates (also by case), overlapping data, local headers that
// name another file. The error is a *Refusal for those, and wraps
// ErrUnreadable when r is no zip.
func Open(r io.ReaderAt, size int64) (*Archive, error) {
	if size > maxPack {
		return nil, refuse(CodeArchiveSize, "", "the pack has %d bytes, at most %d are read", size, int64(maxPack))
	}
	metered := &meteredReader{r: r, budget: maxDirectory}
	z, err := zip.NewReader(metered, size)
	switch {
	case errors.Is(err, errBudget):
		return nil, refuse(CodeArchiveSize, "", "the zip's directory is larger than %d bytes", maxDirectory)
	case errors.Is(err, zip.ErrInsecurePath):
		// Names are judged below, each with its own words.
	case err != nil:
		return nil, fmt.Errorf("%w: %v", ErrUnreadable, err)
	}
	metered.budget = -1
	if !holds(z.File, ManifestFile) {
		return nil, fmt.Errorf("%w: the zip holds no %s", ErrUnreadable, ManifestFile)
	}
	if len(z.File) > maxFiles {
		return nil, refuse(CodeArchiveSize, "", "%d files, at most %d are read", len(z.File), maxFiles)
	}
	a := &Archive{files: make(map[string]*zip.File, len(z.File))}
	folded := make(map[string]bool, len(z.File))
	var total uint64
	for _, f := range z.File {
		if err := admit(f); err != nil {
			return nil, err
		}
		if fold := strings.ToLower(f.Name); folded[fold] {
			return nil, refuse(CodeDuplicateName, f.Name, "the name occurs twice: readers would differ on which file it is")
		} else {
			folded[fold] = true
		}
		if total += f.UncompressedSize64; total > maxUnpacked {
			return nil, refuse(CodeBomb, f.Name, "the files unpack to more than %d bytes", int64(maxUnpacked))
		}
		a.files[f.Name] = f
		a.names = append(a.names, f.Name)
	}
	sort.Strings(a.names)
	return a, checkSpans(r, z.File)
}

func holds(files []*zip.File, name string) bool {
	for _, f := range files {
		if f.Name == name {
			return true
		}
	}
	return false
}

// admit judges one directory entry by itself.
func admit(f *zip.File) error {
	_, limit, err := classify(f.Name)
	if err != nil {
		return refuse(CodeName, clip(f.Name), "%v", err)
	}
	switch {
	case f.Mode()&^0o777 != 0:
		return refuse(CodeName, f.Name, "it is a link or another special file, not a plain one")
	case f.Flags&1 != 0:
		return refuse(CodeName, f.Name, "it is encrypted")
	case f.Method != zip.Store && f.Method != zip.Deflate:
		return refuse(CodeName, f.Name, "compression method %d, only stored and deflated files are read", f.Method)
	case f.UncompressedSize64 > limit:
		return refuse(CodeBomb, f.Name, "it unpacks to %d bytes, at most %d are read", f.UncompressedSize64, limit)
	case f.UncompressedSize64 > ratioFloor && f.UncompressedSize64/maxRatio > f.CompressedSize64:
		return refuse(CodeBomb, f.Name, "%d bytes unpack to %d, more than %d times as much", f.CompressedSize64, f.UncompressedSize64, maxRatio)
	}
	return nil
}

// checkSpans reads each local header: its name must be the directory's, since
// other readers go by it, and no two files may share bytes (the trick of a
// bomb whose files overlap).
func checkSpans(r io.ReaderAt, files []*zip.File) error {
	type span struct {
		from, to int64
		name     string
	}
	spans := make([]span, 0, len(files))
	for _, f := range files {
		data, err := f.DataOffset()
		if err != nil {
			return fmt.Errorf("%w: %s: %v", ErrUnreadable, f.Name, err)
		}
		name := make([]byte, len(f.Name))
		var header [30]byte
		// The header is 30 bytes, the name and the extra field; its own
		// lengths place it, counted back from the data.
		from, err := localHeader(r, data, f.Name, header[:], name)
		if err != nil {
			return err
		}
		spans = append(spans, span{from, data + int64(f.CompressedSize64), f.Name})
	}
	sort.Slice(spans, func(i, j int) bool { return spans[i].from < spans[j].from })
	for i := 1; i < len(spans); i++ {
		if spans[i].from < spans[i-1].to {
			return refuse(CodeBomb, spans[i].name, "its data overlaps that of %s", spans[i-1].name)
		}
	}
	return nil
}

// localHeader finds the local header that ends at data and compares its name.
// archive/zip keeps the header's offset to itself, so the header is searched
// for among the few places where its lengths fit.
func localHeader(r io.ReaderAt, data int64, want string, header, name []byte) (int64, error) {
	const maxExtra = 64 // ours has none; other zip tools write up to 36 bytes
	for extra := int64(0); extra <= maxExtra; extra++ {
		from := data - extra - int64(len(want)) - int64(len(header))
		if from < 0 {
			break
		}
		if _, err := r.ReadAt(header, from); err != nil {
			return 0, fmt.Errorf("%w: %v", ErrUnreadable, err)
		}
		if binary.LittleEndian.Uint32(header) != 0x04034b50 || int(binary.LittleEndian.Uint16(header[26:])) != len(want) ||
			int64(binary.LittleEndian.Uint16(header[28:])) != extra {
			continue
		}
		if _, err := r.ReadAt(name, from+int64(len(header))); err != nil {
			return 0, fmt.Errorf("%w: %v", ErrUnreadable, err)
		}
		if string(name) == want {
			return from, nil
		}
	}
	return 0, refuse(CodeName, want, "its local header names another file than the directory")
}

// Names returns the sorted names of the pack's files.
func (a *Archive) Names() []string { return a.names }

// Has reports whether the pack holds a file of that name.
func (a *Archive) Has(name string) bool { return a.files[name] != nil }

// Read returns the bytes of one file. A CRC or length that differs from the
// directory's is a *Refusal.
func (a *Archive) Read(name string) ([]byte, error) {
	f := a.files[name]
	if f == nil {
		return nil, refuse(CodeMissingFile, name, "the pack does not hold it")
	}
	rc, err := f.Open()
	if err != nil {
		return nil, refuse(CodeFileDigest, name, "it cannot be unpacked: %v", err)
	}
	defer rc.Close()
	// The declared size was capped by admit; a longer stream is cut here.
	b := make([]byte, 0, int(min(f.UncompressedSize64, 1<<20))+1)
	w := limitedBuffer{b: b, limit: f.UncompressedSize64}
	if _, err := io.Copy(&w, rc); err != nil {
		return nil, refuse(CodeFileDigest, name, "it cannot be unpacked: %v", err)
	}
	if uint64(len(w.b)) != f.UncompressedSize64 {
		return nil, refuse(CodeFileDigest, name, "it unpacks to %d bytes, the directory says %d", len(w.b), f.UncompressedSize64)
	}
	return w.b, nil
}

// limitedBuffer is a buffer that refuses to grow past a limit.
type limitedBuffer struct {
	b     []byte
	limit uint64
}

func (l *limitedBuffer) Write(p []byte) (int, error) {
	if uint64(len(l.b)+len(p)) > l.limit {
		return 0, errors.New("longer than declared")
	}
	l.b = append(l.b, p...)
	return len(p), nil
}
