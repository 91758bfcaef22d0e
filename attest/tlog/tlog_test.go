package tlog

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
)

// The leaves and roots of Certificate Transparency's own test tree.
var (
	ctLeaves = []string{"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"}
	ctRoots  = []string{
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
		"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
		"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
		"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
		"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
		"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
		"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
		"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
	}
)

func leafHashes(n int) []Hash {
	out := make([]Hash, n)
	for i := range out {
		out[i] = LeafHash([]byte(fmt.Sprint("leaf ", i)))
	}
	return out
}

func grown(leaves []Hash) *Memory {
	m := NewMemory()
	for _, h := range leaves {
		m.Append(h)
	}
	return m
}

func TestCertificateTransparencyRoots(t *testing.T) {
	m := NewMemory()
	var leaves []Hash
	for i, want := range ctRoots {
		for name, root := range map[string]Hash{"RootOf": RootOf(leaves), "Memory": m.Root()} {
			if got := hex.EncodeToString(root[:]); got != want {
				t.Errorf("%s of %d leaves is %s, want %s", name, i, got, want)
			}
		}
		if i < len(ctLeaves) {
			b, err := hex.DecodeString(ctLeaves[i])
			if err != nil {
				t.Fatal(err)
			}
			leaves = append(leaves, LeafHash(b))
			m.Append(LeafHash(b))
		}
	}
}

// TestAppendInGroups: the tree does not depend on how leaves were grouped, and
// every stored hash is where StoredIndex says.
func TestAppendInGroups(t *testing.T) {
	ctx := context.Background()
	leaves := leafHashes(600)
	whole := grown(leaves)
	for _, group := range []int{1, 2, 7, 255, 256, 600} {
		var stored memoryReader
		var root Hash
		for size := 0; size < len(leaves); {
			end := min(size+group, len(leaves))
			if int64(len(stored)) != StoredCount(int64(size)) {
				t.Fatalf("group %d: %d hashes stored at size %d, want %d", group, len(stored), size, StoredCount(int64(size)))
			}
			more, r, err := Append(ctx, stored, int64(size), leaves[size:end])
			if err != nil {
				t.Fatal(err)
			}
			stored, root, size = append(stored, more...), r, end
		}
		if root != whole.Root() || len(stored) != len(whole.stored) {
			t.Fatalf("group %d: another tree", group)
		}
		for i := range stored {
			if stored[i] != whole.stored[i] {
				t.Fatalf("group %d: stored hash %d differs", group, i)
			}
		}
	}
	if _, root, err := Append(ctx, whole, 600, nil); err != nil || root != whole.Root() {
		t.Errorf("appending nothing: %v", err)
	}
	for level := range 5 {
		for n := range int64(600 >> level) {
			if whole.stored[StoredIndex(level, n)] != RootOf(leaves[n<<level:(n+1)<<level]) {
				t.Fatalf("node %d of level %d is not stored at its index", n, level)
			}
		}
	}
}

type memoryReader []Hash

func (m memoryReader) ReadHashes(_ context.Context, indexes []int64) ([]Hash, error) {
	out := make([]Hash, len(indexes))
	for i, index := range indexes {
		if index >= int64(len(m)) {
			return nil, fmt.Errorf("hash %d is not stored yet", index)
		}
		out[i] = m[index]
	}
	return out, nil
}

// TestProofsAgainstMerkle lets transparency-dev/merkle judge every proof of
// small trees, and ours judge them too.
func TestProofsAgainstMerkle(t *testing.T) {
	ctx := context.Background()
	const limit = 40
	leaves := leafHashes(limit)
	m := grown(leaves)
	for size := int64(1); size <= limit; size++ {
		root, err := Root(ctx, m, size)
		if err != nil || root != RootOf(leaves[:size]) {
			t.Fatalf("root of size %d: %v", size, err)
		}
		for i := range size {
			p, err := ProveInclusion(ctx, m, size, i)
			if err != nil {
				t.Fatal(err)
			}
			if err := proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(i), uint64(size), leaves[i][:], slicesOf(p), root[:]); err != nil {
				t.Fatalf("merkle refuses leaf %d of %d: %v", i, size, err)
			}
			if err := CheckInclusion(p, size, root, i, leaves[i]); err != nil {
				t.Fatalf("leaf %d of %d: %v", i, size, err)
			}
			if err := CheckInclusion(p, size, root, i, LeafHash([]byte("x"))); !errors.Is(err, ErrProof) {
				t.Fatalf("leaf %d of %d: a foreign leaf passes", i, size)
			}
			if other := (i + 1) % size; other != i {
				if err := CheckInclusion(p, size, root, other, leaves[i]); err == nil {
					t.Fatalf("leaf %d of %d passes at %d", i, size, other)
				}
			}
		}
		for old := int64(0); old <= size; old++ {
			oldRoot := RootOf(leaves[:old])
			p, err := ProveConsistency(ctx, m, size, old)
			if err != nil {
				t.Fatal(err)
			}
			if err := proof.VerifyConsistency(rfc6962.DefaultHasher, uint64(old), uint64(size), slicesOf(p), oldRoot[:], root[:]); err != nil {
				t.Fatalf("merkle refuses %d to %d: %v", old, size, err)
			}
			if err := CheckConsistency(p, size, root, old, oldRoot); err != nil {
				t.Fatalf("%d to %d: %v", old, size, err)
			}
			bad := oldRoot
			bad[3] ^= 1
			if err := CheckConsistency(p, size, root, old, bad); !errors.Is(err, ErrProof) {
				t.Fatalf("%d to %d: a false old root passes", old, size)
			}
		}
	}
}

func slicesOf(hashes []Hash) [][]byte {
	out := make([][]byte, len(hashes))
	for i := range hashes {
		out[i] = hashes[i][:]
	}
	return out
}

func TestBoundsAreErrors(t *testing.T) {
	ctx := context.Background()
	m := grown(leafHashes(3))
	for name, err := range map[string]error{
		"inclusion at size":     second(ProveInclusion(ctx, m, 3, 3)),
		"inclusion negative":    second(ProveInclusion(ctx, m, 3, -1)),
		"inclusion beyond log":  second(ProveInclusion(ctx, m, 9, 1)),
		"consistency backwards": second(ProveConsistency(ctx, m, 2, 3)),
		"consistency negative":  second(ProveConsistency(ctx, m, 2, -1)),
		"root beyond log":       second(Root(ctx, m, 9)),
		"root negative":         second(Root(ctx, m, -1)),
		"root huge":             second(Root(ctx, m, MaxSize+1)),
		"check inclusion huge":  CheckInclusion(nil, 1<<62, Hash{}, 1, Hash{}),
		"check consistency":     CheckConsistency(nil, 1, Hash{}, 2, Hash{}),
		"two empty roots":       CheckConsistency(nil, 0, Hash{1}, 0, RootOf(nil)),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, _, err := Append(ctx, m, -1, nil); err == nil {
		t.Error("append to a negative size: no error")
	}
}

func second[T any](_ T, err error) error { return err }

func testVerifier(t testing.TB, name string) (note.Signer, note.Verifier) {
	t.Helper()
	skey, vkey, err := note.GenerateKey(zeros{}, name)
	if err != nil {
		t.Fatal(err)
	}
	s, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	v, err := note.NewVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	return s, v
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func sign(t testing.TB, text string, signers ...note.Signer) string {
	t.Helper()
	b, err := note.Sign(&note.Note{Text: text}, signers...)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestCheckpoint(t *testing.T) {
	s, v := testVerifier(t, "log.example")
	witness, _ := testVerifier(t, "witness.example")
	c := Checkpoint{Origin: "log.example", Size: 12, Root: LeafHash([]byte("r"))}
	for _, signers := range [][]note.Signer{{s}, {s, witness}, {witness, s}} {
		got, err := ParseCheckpoint(sign(t, c.Text(), signers...), v)
		if err != nil || got != c {
			t.Errorf("%d signatures: %+v, %v", len(signers), got, err)
		}
	}
	root := "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	for name, text := range map[string]string{
		"extension line":     c.Text() + "extra\n",
		"two lines":          "log.example\n12\n",
		"other origin":       "other.example\n12\n" + root + "\n",
		"leading zero":       "log.example\n012\n" + root + "\n",
		"plus":               "log.example\n+12\n" + root + "\n",
		"negative":           "log.example\n-1\n" + root + "\n",
		"huge":               "log.example\n99999999999999999999\n" + root + "\n",
		"short root":         "log.example\n12\nAAAA\n",
		"root with tail bit": "log.example\n12\n" + root[:42] + "B=\n",
	} {
		if _, err := ParseCheckpoint(sign(t, text, s), v); !errors.Is(err, ErrCheckpoint) {
			t.Errorf("%s: %v", name, err)
		}
	}
	good := sign(t, c.Text(), s)
	for name, text := range map[string]string{
		"unsigned":       c.Text(),
		"witness only":   sign(t, c.Text(), witness),
		"text changed":   strings.Replace(good, "\n12\n", "\n13\n", 1),
		"empty":          "",
		"too long":       good + strings.Repeat("— w AAAAAAAA\n", 2000),
		"not UTF-8":      "\xff" + good,
		"text in middle": strings.Replace(good, "\n\n", "\n", 1),
	} {
		if _, err := ParseCheckpoint(text, v); !errors.Is(err, ErrCheckpoint) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTilePaths(t *testing.T) {
	for path, want := range map[string]TilePath{
		"tile/0/000":                      {0, 0, 256},
		"tile/0/067":                      {0, 67, 256},
		"tile/1/x001/234":                 {1, 1234, 256},
		"tile/0/x001/x234/067":            {0, 1234067, 256},
		"tile/0/x001/x234/067.p/8":        {0, 1234067, 8},
		"tile/entries/x273/x123/456.p/99": {EntriesLevel, 273123456, 99},
		"tile/5/000.p/1":                  {5, 0, 1},
	} {
		got, err := ParseTilePath(path)
		if err != nil || got != want || got.String() != path {
			t.Errorf("%s: %+v (%s), %v", path, got, got, err)
		}
	}
	for _, path := range []string{
		"", "tile", "tile/0", "tile/0/", "tile/0/0", "tile/0/0000", "tile/00/000", "tile/-1/000", "tile/6/000", "tile/64/000",
		"tile/0/x000/001", "tile/0/x001", "tile/0/001/002", "tile/0/+01", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/08",
		"tile/0/000.p/", "tile/0/000.p/1/", "tile/0/../1", "tile/entry/000", "Tile/0/000", "tile/0/000.p/1.p/2", "//tile/0/000",
		"tile/0/x999/x999/x999/x999/x999/x999/x999/999",
	} {
		if got, err := ParseTilePath(path); err == nil {
			t.Errorf("%q parses as %+v", path, got)
		}
	}
}

func TestTileHashes(t *testing.T) {
	ctx := context.Background()
	leaves := leafHashes(600)
	m := grown(leaves)
	b, err := TileHashes(ctx, m, TilePath{0, 1, 256}, 600)
	if err != nil || len(b) != 256*32 || !bytes.Equal(b[:32], leaves[256][:]) {
		t.Fatalf("level 0: %d bytes, %v", len(b), err)
	}
	b, err = TileHashes(ctx, m, TilePath{1, 0, 2}, 600)
	if err != nil || len(b) != 64 {
		t.Fatalf("level 1: %d bytes, %v", len(b), err)
	}
	for i := range 2 {
		want := RootOf(leaves[i*256 : (i+1)*256])
		if !bytes.Equal(b[i*32:(i+1)*32], want[:]) {
			t.Errorf("level 1: hash %d is not the root of its 256 leaves", i)
		}
	}
	for _, bad := range []TilePath{{0, 2, 256}, {0, 2, 89}, {1, 0, 3}, {EntriesLevel, 0, 1}, {0, 0, 0}, {0, -1, 1}, {0, 0, 257}, {6, 0, 1}} {
		if _, err := TileHashes(ctx, m, bad, 600); err == nil {
			t.Errorf("%+v: no error", bad)
		}
	}
	if _, err := TileHashes(ctx, m, TilePath{0, 2, 88}, 600); err != nil {
		t.Errorf("the partial tile: %v", err)
	}
}

func TestEntryBundles(t *testing.T) {
	in := [][]byte{[]byte("first"), {}, bytes.Repeat([]byte{7}, 65535)}
	b := EncodeEntries(in)
	if !bytes.HasPrefix(b, []byte("\x00\x05first\x00\x00\xff\xff")) {
		t.Errorf("encoding begins %x", b[:11])
	}
	out, err := DecodeEntries(b)
	if err != nil || len(out) != 3 || !bytes.Equal(out[2], in[2]) {
		t.Errorf("%d entries, %v", len(out), err)
	}
	if EncodeEntries([][]byte{make([]byte, 65536)}) != nil {
		t.Error("an entry of 64 KiB was encoded")
	}
	for _, bad := range [][]byte{{0}, {0, 1}, {0, 2, 1}, b[:len(b)-1], make([]byte, 2*257)} {
		if _, err := DecodeEntries(bad); err == nil {
			t.Errorf("%d bytes: no error", len(bad))
		}
	}
}

func FuzzParseCheckpoint(f *testing.F) {
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	vkey, err := note.NewEd25519VerifierKey("log.example", key.Public().(ed25519.PublicKey))
	if err != nil {
		f.Fatal(err)
	}
	v, err := note.NewVerifier(vkey)
	if err != nil {
		f.Fatal(err)
	}
	f.Add("log.example\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n— log.example AAAAAAAA\n")
	f.Add(Checkpoint{Origin: "log.example", Size: 3}.Text())
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := ParseCheckpoint(text, v); err == nil {
			t.Errorf("accepted without a signature: %+v", c)
		}
		if c, err := parseText(text); err == nil && c.Text() != text {
			t.Errorf("text %q re-writes as %q", text, c.Text())
		}
	})
}

func FuzzTilePath(f *testing.F) {
	for _, s := range []string{"tile/0/000", "tile/entries/x001/002.p/3", "tile/5/x999/999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		p, err := ParseTilePath(path)
		if err != nil {
			return
		}
		if p.String() != strings.TrimPrefix(path, "/") {
			t.Errorf("%q re-writes as %q", path, p)
		}
		if p.Index < 0 || p.Width < 1 || p.Width > 256 || p.Level < EntriesLevel || p.Level > 5 {
			t.Errorf("%q: out of range: %+v", path, p)
		}
	})
}

func BenchmarkLeafHash(b *testing.B) {
	leaf := bytes.Repeat([]byte{'x'}, 700)
	for b.Loop() {
		LeafHash(leaf)
	}
}

// BenchmarkAppend grows a tree of 100,000 leaves by groups of 500.
func BenchmarkAppend(b *testing.B) {
	ctx := context.Background()
	m := grown(leafHashes(100_000))
	group := leafHashes(500)
	for b.Loop() {
		if _, _, err := Append(ctx, m, 100_000, group); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(group)), "ns/leaf")
}

func BenchmarkProveInclusion(b *testing.B) {
	ctx := context.Background()
	m := grown(leafHashes(100_000))
	for b.Loop() {
		if _, err := ProveInclusion(ctx, m, 100_000, 77_777); err != nil {
			b.Fatal(err)
		}
	}
}
