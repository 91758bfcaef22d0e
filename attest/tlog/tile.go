package tlog

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// TileWidth is the number of hashes, or entries, of a full tile.
const TileWidth = 256

// EntriesLevel is the Level of a tile of entries.
const EntriesLevel = -1

// TilePath names a tile of C2SP tlog-tiles. Level is EntriesLevel for entry
// bundles; Width is 1..256, 256 being the full tile.
type TilePath struct {
	Level int
	Index int64
	Width int
}

// String is the path below the log's prefix, "tile/<L>/<N>[.p/<W>]", with N in
// groups of three digits, all but the last prefixed by x.
func (t TilePath) String() string {
	n := fmt.Sprintf("%03d", t.Index%1000)
	for rest := t.Index / 1000; rest > 0; rest /= 1000 {
		n = fmt.Sprintf("x%03d/%s", rest%1000, n)
	}
	level := "entries"
	if t.Level != EntriesLevel {
		level = strconv.Itoa(t.Level)
	}
	path := "tile/" + level + "/" + n
	if t.Width != TileWidth {
		path += ".p/" + strconv.Itoa(t.Width)
	}
	return path
}

// ParseTilePath parses a path as String writes it, with or without a leading
// slash; any other spelling of the same tile is refused.
func ParseTilePath(path string) (TilePath, error) {
	refuse := func(why string) (TilePath, error) {
		return TilePath{}, fmt.Errorf("tile path: %s; expected tile/<level>/<index>[.p/<width>]", why)
	}
	path = strings.TrimPrefix(path, "/")
	if len(path) > 64 {
		return refuse("too long")
	}
	rest, ok := strings.CutPrefix(path, "tile/")
	if !ok {
		return refuse("does not begin with tile/")
	}
	level, rest, ok := strings.Cut(rest, "/")
	if !ok {
		return refuse("has no index")
	}
	t := TilePath{Width: TileWidth}
	if level == "entries" {
		t.Level = EntriesLevel
	} else {
		l, err := strconv.Atoi(level)
		if err != nil || l < 0 || l > 5 {
			return refuse("level is neither entries nor 0 to 5")
		}
		t.Level = l
	}
	if full, width, partial := strings.Cut(rest, ".p/"); partial {
		w, err := strconv.Atoi(width)
		if err != nil || w < 1 || w >= TileWidth {
			return refuse("width is not 1 to 255")
		}
		t.Width, rest = w, full
	}
	for _, group := range strings.Split(rest, "/") {
		group = strings.TrimPrefix(group, "x")
		d, err := strconv.Atoi(group)
		if err != nil || d < 0 || d > 999 || t.Index > MaxSize/1000 {
			return refuse("index is not groups of three digits")
		}
		t.Index = t.Index*1000 + int64(d)
	}
	if t.String() != path {
		return refuse("not in its one canonical form")
	}
	return t, nil
}

// TileHashes returns the concatenated hashes of a hash tile, 32 bytes each. It
// refuses a tile that the tree of size leaves does not fill to t.Width, and
// tiles of entries, whose bytes the tree does not hold.
func TileHashes(ctx context.Context, r Reader, t TilePath, size int64) ([]byte, error) {
	if err := checkSize(size); err != nil {
		return nil, err
	}
	if t.Level < 0 || t.Level > 5 || t.Width < 1 || t.Width > TileWidth || t.Index < 0 || t.Index > MaxSize {
		return nil, fmt.Errorf("%s is no tile of hashes", t)
	}
	level := 8 * t.Level
	first := t.Index * TileWidth
	if first+int64(t.Width) > size>>level {
		return nil, fmt.Errorf("%s is beyond the tree of size %d", t, size)
	}
	indexes := make([]int64, t.Width)
	for i := range indexes {
		indexes[i] = StoredIndex(level, first+int64(i))
	}
	hashes, err := read(ctx, r, indexes)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(hashes)*len(Hash{}))
	for _, h := range hashes {
		out = append(out, h[:]...)
	}
	return out, nil
}

// EncodeEntries writes an entry bundle: for each entry its length as a
// big-endian uint16, then its bytes. Leaves are below 64 KiB by construction
// (attest.MaxLeaf); an entry that is not makes the result nil.
func EncodeEntries(entries [][]byte) []byte {
	n := 0
	for _, e := range entries {
		if len(e) > math.MaxUint16 {
			return nil
		}
		n += 2 + len(e)
	}
	out := make([]byte, 0, n)
	for _, e := range entries {
		out = binary.BigEndian.AppendUint16(out, uint16(len(e)))
		out = append(out, e...)
	}
	return out
}

// DecodeEntries reads an entry bundle of at most TileWidth entries.
func DecodeEntries(b []byte) ([][]byte, error) {
	var out [][]byte
	for len(b) > 0 {
		if len(out) == TileWidth {
			return nil, fmt.Errorf("entry bundle: more than %d entries", TileWidth)
		}
		if len(b) < 2 || len(b)-2 < int(binary.BigEndian.Uint16(b)) {
			return nil, fmt.Errorf("entry bundle: entry %d is cut short", len(out))
		}
		n := int(binary.BigEndian.Uint16(b))
		out = append(out, b[2:2+n:2+n])
		b = b[2+n:]
	}
	return out, nil
}
