// Package pdf writes the documents of record: model cards, validation reports and promotion records.
//
// A Document is plain data. Render lays it out, draws it with embedded subset fonts and finishes it as a tagged PDF with
// an outline, metadata, a colour profile and reserved signature fields; Sign fills one of those with a PAdES signature.
// The same Document gives the same bytes: no clock, no randomness and no machine setting enters.
//
// Every statement may cite the log entries that it rests on. A statement that cites none says so in the document.
package pdf

import "time"

// NoEvidence is what a document prints in place of evidence that the log does not hold.
const NoEvidence = "no evidence recorded"

// Meta describes the document as a whole.
type Meta struct {
	// Kind is what the document is, such as "Model card".
	Kind string
	// Title and Subtitle head the first page; Title also names the file in a reader's window.
	Title, Subtitle string
	// Organisation answers for the document; Project is the scope in the log.
	Organisation, Project string
	// AsOf is the time the document speaks of. It becomes the creation and the modification date, so it must be set.
	AsOf time.Time
	// LogOrigin, TreeSize and RootHash name the log head of which the document is a reading.
	LogOrigin string
	TreeSize  int64
	RootHash  string
	// Language is the BCP 47 tag of the text, "en" if empty.
	Language string
}

// Source is a log entry that the document rests on.
type Source struct {
	// Index is the entry's position in the log, counted from 0.
	Index int64
	// Kind is the entry's step type in words.
	Kind string
	// PAEDigest is the SHA-256 of the entry's signed bytes, in hexadecimal.
	PAEDigest string
	// Signer names who signed, with the role or account.
	Signer string
	// Logged is the time of the log's own timestamp.
	Logged time.Time
}

// Attachment is a file carried inside the PDF, for readers that want the figures as data.
type Attachment struct {
	// Name is the file name and must be unique in the document; MIME its media type.
	Name, MIME, Description string
	Data                    []byte
}

// Document is the whole input of Render.
type Document struct {
	Meta Meta
	// Front follows the title on the first page, before the contents.
	Front []Block
	// Body holds the sections; its headings are numbered and listed in the contents.
	Body []Block
	// Sources must hold every entry that a block cites. Those that are cited are printed as the last section, in index order.
	Sources []Source
	// Attachments are embedded in the order given.
	Attachments []Attachment
	// SignatureFields is how many signature fields to reserve for Sign.
	SignatureFields int
}

// Block is one element of a document: *Heading, *Prose, *Statement, *Bullets, *KeyValues, *Table, *Callout, *Figure,
// *Code or *PageBreak.
type Block interface {
	layout(l *layouter) ([]piece, error)
}

// Cites lists the indexes of the log entries that a statement rests on.
type Cites []int64

// Heading opens a section. Level is 1, 2 or 3.
type Heading struct {
	Level int
	Text  string
}

// Prose is text of the document's own, such as a definition: it claims nothing about the model and cites nothing.
type Prose struct {
	Text string
	// Muted sets it smaller and paler, for notes.
	Muted bool
}

// Statement is a claim about the model. Empty Text prints NoEvidence; text without Cites prints it too, after the text.
type Statement struct {
	Text  string
	Cites Cites
}

// Bullets is a list of statements.
type Bullets struct {
	Items []Statement
	// Prose marks items that are the document's own text, which need no evidence.
	Prose bool
}

// KeyValue is one row of a KeyValues block.
type KeyValue struct {
	Key   string
	Value string
	Cites Cites
	// Mono sets the value in a fixed-width face, for digests and identifiers.
	Mono   bool
	Status Status
	// Prose marks a value that needs no evidence, such as the document's own date.
	Prose bool
}

// KeyValues is a list of named facts.
type KeyValues struct{ Items []KeyValue }

// Align is the horizontal alignment of a column.
type Align int

// The alignments.
const (
	Left Align = iota
	Right
	Center
)

// Status is shown by shape and word together with a colour, never by colour alone.
type Status int

// The states of a condition or a document.
const (
	StatusNone Status = iota
	StatusOK
	StatusWarn
	StatusBad
	StatusWaiting
	StatusInfo
)

// Column describes a column of a Table.
type Column struct {
	Title string
	Align Align
	// Mono sets the column in a fixed-width face.
	Mono bool
	// NoWrap keeps each cell on one line as long as the table fits the page.
	NoWrap bool
	// Width fixes the width of the column's text in points; 0 leaves it to the content.
	Width float64
}

// Cell is one cell. Its citations follow the text, or stand alone as plain numbers if the text is empty.
type Cell struct {
	Text   string
	Cites  Cites
	Status Status
	Bold   bool
	// Evidence marks a cell whose citations are its content: without any it says NoEvidence.
	Evidence bool
}

// Row is one row of a Table. A Group row has one cell, which spans the table as a subheading.
type Row struct {
	Cells []Cell
	Group bool
}

// Table has repeated headers on each page that it reaches. Without rows it prints Empty, or NoEvidence.
type Table struct {
	// Caption is numbered by the renderer.
	Caption string
	Columns []Column
	Rows    []Row
	Note    string
	Cites   Cites
	Empty   string
}

// Callout is a boxed message: a verdict, a limit, a warning.
type Callout struct {
	Status Status
	Title  string
	Text   string
	Cites  Cites
}

// Figure shows a drawing. The drawing's description is its alternative text.
type Figure struct {
	// Caption is numbered by the renderer.
	Caption string
	Drawing *Drawing
	Cites   Cites
}

// Code shows lines in a fixed-width face, such as commands to type.
type Code struct{ Lines []string }

// PageBreak starts a new page.
type PageBreak struct{}
