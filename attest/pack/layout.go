package pack

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"

	"affidavit/rbac/sod"
)

// Fixed names in a pack.
const (
	ManifestFile    = "manifest.json"
	ExportFile      = "export.sigstore.json"
	ConsistencyFile = "export.consistency"
	RootFile        = "trusted_root.json"
	CheckpointFile  = "checkpoint"
	LineageFile     = "lineage.json"
	VerifyFile      = "VERIFY.md"

	bundleDir     = "bundles/"
	governanceDir = "governance/"
	keyDir        = "keys/"
	policyDir     = "policies/"
	documentDir   = "documents/"
	bundleSuffix  = ".sigstore.json"
)

// Limits of the opener. A pack beyond them is refused before it is unpacked.
const (
	maxPack      = 4 << 30  // bytes of the zip
	maxDirectory = 32 << 20 // bytes read to find and parse the zip's directory
	maxFiles     = 200_000
	maxUnpacked  = 8 << 30 // bytes of all files together
	maxRatio     = 200     // unpacked : packed, for files above ratioFloor
	ratioFloor   = 64 << 10
	maxNameLen   = 160

	maxBundle   = 8 << 20
	maxSmall    = 1 << 20 // checkpoint, trusted root, key, consistency proof
	maxPolicy   = 1 << 20
	maxDocument = 64 << 20
	maxManifest = 128 << 20
	maxLineage  = 512 << 20
)

// fileClass says what a file of the pack is, by its name.
type fileClass int

const (
	classUnknown fileClass = iota
	classManifest
	classExport
	classConsistency
	classRoot
	classCheckpoint
	classLineage
	classVerify
	classBundle
	classGovernance
	classKey
	classPolicy
	classDocument
)

var (
	bundleName   = regexp.MustCompile(`^(bundles|governance)/(0|[1-9][0-9]{0,17})-([a-z][a-z0-9-]{0,47})\.sigstore\.json$`)
	keyName      = regexp.MustCompile(`^keys/[0-9a-f]{64}\.pub$`)
	policyName   = regexp.MustCompile(`^policies/[0-9a-f]{64}\.yaml$`)
	documentName = regexp.MustCompile(`^documents/[A-Za-z0-9][A-Za-z0-9._-]{0,119}$`)
	hexDigest    = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// classify returns the class of a name, the most bytes that such a file may
// unpack to, and an error that says what is wrong with a name outside the
// layout.
func classify(name string) (fileClass, uint64, error) {
	switch name {
	case ManifestFile:
		return classManifest, maxManifest, nil
	case ExportFile:
		return classExport, maxManifest, nil // lists every entry
	case ConsistencyFile:
		return classConsistency, maxSmall, nil
	case RootFile:
		return classRoot, maxSmall, nil
	case CheckpointFile:
		return classCheckpoint, maxSmall, nil
	case LineageFile:
		return classLineage, maxLineage, nil
	case VerifyFile:
		return classVerify, maxSmall, nil
	}
	switch {
	case len(name) > maxNameLen:
		return classUnknown, 0, fmt.Errorf("name of %d bytes, at most %d", len(name), maxNameLen)
	case strings.HasPrefix(name, "/") || strings.Contains(name, `\`) || strings.Contains(name, ":") || path.Clean(name) != name || strings.HasPrefix(name, ".."):
		return classUnknown, 0, errors.New("the path leaves the pack or is not in plain form")
	case bundleName.MatchString(name):
		if strings.HasPrefix(name, governanceDir) {
			return classGovernance, maxBundle, nil
		}
		return classBundle, maxBundle, nil
	case keyName.MatchString(name):
		return classKey, maxSmall, nil
	case policyName.MatchString(name):
		return classPolicy, maxPolicy, nil
	case documentName.MatchString(name):
		return classDocument, maxDocument, nil
	}
	return classUnknown, 0, errors.New("no file of a pack has such a name")
}

// bundlePath is the generated name of an entry's bundle.
func bundlePath(index int64, kind string, governance bool) string {
	dir := bundleDir
	if governance {
		dir = governanceDir
	}
	return dir + strconv.FormatInt(index, 10) + "-" + kind + bundleSuffix
}

// splitBundlePath is the inverse of bundlePath.
func splitBundlePath(name string) (index int64, kind string, governance, ok bool) {
	m := bundleName.FindStringSubmatch(name)
	if m == nil {
		return 0, "", false, false
	}
	index, err := strconv.ParseInt(m[2], 10, 64)
	return index, m[3], m[1] == "governance", err == nil
}

// GovernanceKind reports whether entries of a kind say who may do what: they
// are kept in governance/, and every pack of a project carries all of them.
func GovernanceKind(kind string) bool { return sod.Governs(kind) }
