package pdf

import (
	"bytes"
	"compress/zlib"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"

	"affidavit/attest/pack/pdfsig"
)

const producer = "Affidavit (go-pdf/fpdf)"

// finisher re-emits fpdf's objects with what fpdf cannot write: structure tree, outline, links, metadata, output intent,
// attachments and reserved signature fields.
type finisher struct {
	objects map[int]any
	next    int
	pages   []pdfsig.Ref
	doc     *Document
	canvas  *canvas
	places  map[string]place
	widgets []pdfsig.Ref
}

func (f *finisher) add(v any) pdfsig.Ref {
	f.objects[f.next] = v
	f.next++
	return pdfsig.Ref{Num: f.next - 1}
}

// finish turns the drawn pages into the final file.
func finish(raw []byte, d *Document, c *canvas, root *elem, outline []*outlineItem, places map[string]place) ([]byte, error) {
	in, err := pdfsig.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("pdf: reading what fpdf wrote: %w", err)
	}
	f := &finisher{objects: map[int]any{}, doc: d, canvas: c, places: places}
	for num, o := range in.Revisions[0].Objects {
		f.objects[num] = o.Value
		f.next = max(f.next, num+1)
	}
	trailer := in.Revisions[0].Trailer
	oldRoot, _ := in.Resolve(0, trailer["Root"]).(pdfsig.Dict)
	tree, _ := in.Resolve(0, oldRoot["Pages"]).(pdfsig.Dict)
	kids, _ := tree["Kids"].(pdfsig.Array)
	for _, k := range kids {
		ref, ok := k.(pdfsig.Ref)
		if !ok {
			return nil, errors.New("pdf: a page is not an indirect object")
		}
		f.pages = append(f.pages, ref)
	}
	if len(f.pages) != c.page {
		return nil, fmt.Errorf("pdf: fpdf wrote %d pages, not %d", len(f.pages), c.page)
	}
	for _, key := range []pdfsig.Name{"Root", "Info"} {
		if ref, ok := trailer[key].(pdfsig.Ref); ok {
			delete(f.objects, ref.Num)
		}
	}
	if err := f.unicodeMaps(); err != nil {
		return nil, err
	}
	catalog, err := f.catalog(oldRoot["Pages"], root, outline)
	if err != nil {
		return nil, err
	}
	return f.write(f.add(catalog), f.add(f.info())), nil
}

func (f *finisher) catalog(pages any, root *elem, outline []*outlineItem) (pdfsig.Dict, error) {
	lang := f.doc.Meta.Language
	if lang == "" {
		lang = "en"
	}
	cat := pdfsig.Dict{
		"Type": pdfsig.Name("Catalog"), "Pages": pages, "Lang": pdfsig.EncodeText(lang),
		"MarkInfo":          pdfsig.Dict{"Marked": true},
		"ViewerPreferences": pdfsig.Dict{"DisplayDocTitle": true},
		"Metadata":          f.add(f.metadata()),
	}
	profile, err := deflate(profileSRGB)
	if err != nil {
		return nil, err
	}
	icc := f.add(&pdfsig.Stream{Raw: profile, Dict: pdfsig.Dict{"N": int64(3), "Filter": pdfsig.Name("FlateDecode"), "Length": int64(len(profile))}})
	cat["OutputIntents"] = pdfsig.Array{pdfsig.Dict{"Type": pdfsig.Name("OutputIntent"), "S": pdfsig.Name("GTS_PDFA1"),
		"OutputConditionIdentifier": pdfsig.String("sRGB"), "Info": pdfsig.String("sRGB"), "DestOutputProfile": icc}}
	if err := f.attachments(cat); err != nil {
		return nil, err
	}
	f.signatureFields(cat)
	links, err := f.linkAnnotations()
	if err != nil {
		return nil, err
	}
	cat["StructTreeRoot"] = f.structure(root, links)
	if len(outline) > 0 {
		ref, err := f.outline(outline)
		if err != nil {
			return nil, err
		}
		cat["Outlines"], cat["PageMode"] = ref, pdfsig.Name("UseOutlines")
	}
	return cat, nil
}

func deflate(data []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := zlib.NewWriterLevel(&b, zlib.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	err = w.Close()
	return b.Bytes(), err
}

func (f *finisher) info() pdfsig.Dict {
	m := f.doc.Meta
	date := pdfsig.String(pdfsig.FormatTime(m.AsOf))
	info := pdfsig.Dict{"Title": pdfsig.EncodeText(f.title()), "Producer": pdfsig.String(producer), "CreationDate": date, "ModDate": date}
	if m.Organisation != "" {
		info["Author"] = pdfsig.EncodeText(m.Organisation)
	}
	return info
}

func (f *finisher) title() string { return printable(f.doc.Meta.Kind + ": " + f.doc.Meta.Title) }

// printable drops control characters, which neither XML nor a window title can hold.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || isFormat(r) {
			return -1
		}
		return r
	}, s)
}

// metadata is the XMP packet; it says the same as the information dictionary.
func (f *finisher) metadata() *pdfsig.Stream {
	m := f.doc.Meta
	date := m.AsOf.UTC().Format(time.RFC3339)
	var b strings.Builder
	b.WriteString("<?xpacket begin=\"\ufeff\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\n" +
		"<x:xmpmeta xmlns:x=\"adobe:ns:meta/\"><rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">\n" +
		"<rdf:Description rdf:about=\"\" xmlns:dc=\"http://purl.org/dc/elements/1.1/\" xmlns:xmp=\"http://ns.adobe.com/xap/1.0/\"" +
		" xmlns:pdf=\"http://ns.adobe.com/pdf/1.3/\">\n")
	b.WriteString("<dc:format>application/pdf</dc:format>\n")
	fmt.Fprintf(&b, "<dc:title><rdf:Alt><rdf:li xml:lang=\"x-default\">%s</rdf:li></rdf:Alt></dc:title>\n", escapeXML(f.title()))
	if m.Organisation != "" {
		fmt.Fprintf(&b, "<dc:creator><rdf:Seq><rdf:li>%s</rdf:li></rdf:Seq></dc:creator>\n", escapeXML(printable(m.Organisation)))
	}
	fmt.Fprintf(&b, "<xmp:CreateDate>%s</xmp:CreateDate>\n<xmp:ModifyDate>%[1]s</xmp:ModifyDate>\n<pdf:Producer>%s</pdf:Producer>\n", date, producer)
	b.WriteString("</rdf:Description>\n")
	b.WriteString(conformance)
	b.WriteString("</rdf:RDF></x:xmpmeta>\n<?xpacket end=\"r\"?>")
	return &pdfsig.Stream{Raw: []byte(b.String()), Dict: pdfsig.Dict{"Type": pdfsig.Name("Metadata"), "Subtype": pdfsig.Name("XML"), "Length": int64(b.Len())}}
}

func (f *finisher) attachments(cat pdfsig.Dict) error {
	if len(f.doc.Attachments) == 0 {
		return nil
	}
	type named struct {
		name string
		ref  pdfsig.Ref
	}
	var all []named
	var af pdfsig.Array
	date := pdfsig.String(pdfsig.FormatTime(f.doc.Meta.AsOf))
	for _, a := range f.doc.Attachments {
		if a.Name == "" || strings.ContainsAny(a.Name, "/\\") || a.MIME == "" {
			return fmt.Errorf("pdf: attachment %q needs a plain file name and a media type", a.Name)
		}
		data, err := deflate(a.Data)
		if err != nil {
			return err
		}
		file := f.add(&pdfsig.Stream{Raw: data, Dict: pdfsig.Dict{"Type": pdfsig.Name("EmbeddedFile"), "Subtype": pdfsig.Name(a.MIME),
			"Filter": pdfsig.Name("FlateDecode"), "Length": int64(len(data)),
			"Params": pdfsig.Dict{"Size": int64(len(a.Data)), "CreationDate": date, "ModDate": date}}})
		spec := f.add(pdfsig.Dict{"Type": pdfsig.Name("Filespec"), "F": pdfsig.EncodeText(a.Name), "UF": pdfsig.EncodeText(a.Name),
			"Desc": pdfsig.EncodeText(a.Description), "AFRelationship": pdfsig.Name("Data"), "EF": pdfsig.Dict{"F": file, "UF": file}})
		all = append(all, named{a.Name, spec})
		af = append(af, spec)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].name < all[j].name })
	var names pdfsig.Array
	for i, n := range all {
		if i > 0 && all[i-1].name == n.name {
			return fmt.Errorf("pdf: two attachments are named %q", n.name)
		}
		names = append(names, pdfsig.EncodeText(n.name), n.ref)
	}
	cat["Names"] = pdfsig.Dict{"EmbeddedFiles": pdfsig.Dict{"Names": names}}
	cat["AF"] = af
	return nil
}

// signatureFields reserves empty fields, so that signing later adds a signature and changes nothing else. SigFlags
// announces signatures from the start for the same reason.
func (f *finisher) signatureFields(cat pdfsig.Dict) {
	if f.doc.SignatureFields <= 0 {
		return
	}
	var fields pdfsig.Array
	for i := range f.doc.SignatureFields {
		ref := f.add(pdfsig.Dict{"Type": pdfsig.Name("Annot"), "Subtype": pdfsig.Name("Widget"), "FT": pdfsig.Name("Sig"),
			"T": pdfsig.String(fmt.Sprintf("Signature%d", i+1)), "TU": pdfsig.String(fmt.Sprintf("Signature %d", i+1)),
			"F": int64(132), "P": f.pages[0], "Rect": pdfsig.Array{int64(0), int64(0), int64(0), int64(0)}})
		fields = append(fields, ref)
		f.widgets = append(f.widgets, ref)
	}
	cat["AcroForm"] = pdfsig.Dict{"Fields": fields, "SigFlags": int64(3)}
}

// linkAnnotations makes the annotations of the recorded links and puts them on their pages. The n-th annotation's key in
// the parent tree is the number of pages plus n.
func (f *finisher) linkAnnotations() ([]pdfsig.Ref, error) {
	byPage := make([]pdfsig.Array, len(f.pages)+1)
	var refs []pdfsig.Ref
	for i, l := range f.canvas.links {
		target, ok := f.places[l.anchor]
		if !ok {
			return nil, fmt.Errorf("pdf: a link leads to %q, which is not in the document", l.anchor)
		}
		ref := f.add(pdfsig.Dict{"Type": pdfsig.Name("Annot"), "Subtype": pdfsig.Name("Link"), "F": int64(4),
			"Rect":   pdfsig.Array{round2(l.x), round2(pageHeight - l.y - l.h), round2(l.x + l.w), round2(pageHeight - l.y)},
			"Border": pdfsig.Array{int64(0), int64(0), int64(0)}, "Dest": f.dest(target),
			"Contents": pdfsig.EncodeText("Go to " + l.label), "StructParent": int64(len(f.pages) + i)})
		refs = append(refs, ref)
		byPage[l.page] = append(byPage[l.page], ref)
	}
	for _, w := range f.widgets {
		byPage[1] = append(byPage[1], w)
	}
	for i, ref := range f.pages {
		page, ok := f.objects[ref.Num].(pdfsig.Dict)
		if !ok {
			return nil, fmt.Errorf("pdf: page %d is not a dictionary", i+1)
		}
		page["StructParents"] = int64(i)
		page["Tabs"] = pdfsig.Name("S")
		if len(byPage[i+1]) > 0 {
			page["Annots"] = byPage[i+1]
		}
	}
	return refs, nil
}

func round2(v float64) float64 { return float64(int64(v*100+0.5)) / 100 }

func (f *finisher) dest(p place) pdfsig.Array {
	return pdfsig.Array{f.pages[p.page-1], pdfsig.Name("XYZ"), int64(0), round2(pageHeight - p.y + 12), nil}
}

// structure writes the tree of elements and the parent tree, and returns the root's reference.
func (f *finisher) structure(root *elem, links []pdfsig.Ref) pdfsig.Ref {
	rootRef := f.add(nil)
	parents := make([]pdfsig.Array, len(f.pages))
	for i := range parents {
		parents[i] = make(pdfsig.Array, f.canvas.mcids[i+1])
	}
	linkParents := make([]any, len(links))
	var emit func(e *elem, parent pdfsig.Ref) pdfsig.Ref
	emit = func(e *elem, parent pdfsig.Ref) pdfsig.Ref {
		d := pdfsig.Dict{"Type": pdfsig.Name("StructElem"), "S": pdfsig.Name(e.tag), "P": parent}
		ref := f.add(d)
		if e.alt != "" {
			d["Alt"] = pdfsig.EncodeText(printable(e.alt))
		}
		if e.scope != "" {
			d["A"] = pdfsig.Dict{"O": pdfsig.Name("Table"), "Scope": pdfsig.Name(e.scope)}
		}
		if e.colSpan > 1 {
			d["A"] = pdfsig.Dict{"O": pdfsig.Name("Table"), "ColSpan": int64(e.colSpan)}
		}
		var kids pdfsig.Array
		for _, k := range e.kids {
			switch {
			case k.elem != nil:
				kids = append(kids, emit(k.elem, ref))
			case k.link > 0:
				page := f.pages[f.canvas.links[k.link-1].page-1]
				kids = append(kids, pdfsig.Dict{"Type": pdfsig.Name("OBJR"), "Obj": links[k.link-1], "Pg": page})
				linkParents[k.link-1] = ref
			default:
				kids = append(kids, pdfsig.Dict{"Type": pdfsig.Name("MCR"), "MCID": int64(k.mcid), "Pg": f.pages[k.page-1]})
				parents[k.page-1][k.mcid] = ref
			}
		}
		d["K"] = kids
		return ref
	}
	top := emit(root, rootRef)
	var nums pdfsig.Array
	for i, p := range parents {
		nums = append(nums, int64(i), f.add(p))
	}
	for i, p := range linkParents {
		nums = append(nums, int64(len(f.pages)+i), p)
	}
	f.objects[rootRef.Num] = pdfsig.Dict{"Type": pdfsig.Name("StructTreeRoot"), "K": top,
		"ParentTree": f.add(pdfsig.Dict{"Nums": nums}), "ParentTreeNextKey": int64(len(f.pages) + len(links))}
	return rootRef
}

// outline writes the bookmarks. Each item's parent is the nearest one before it of a lower level.
func (f *finisher) outline(items []*outlineItem) (pdfsig.Ref, error) {
	root := f.add(nil)
	refs := make([]pdfsig.Ref, len(items))
	parent := make([]int, len(items)) // -1 is the root
	children := map[int][]int{}
	for i, item := range items {
		refs[i] = f.add(nil)
		parent[i] = -1
		for j := i - 1; j >= 0; j-- {
			if items[j].level < item.level {
				parent[i] = j
				break
			}
		}
		children[parent[i]] = append(children[parent[i]], i)
	}
	ends := func(d pdfsig.Dict, of int, open bool) {
		if kids := children[of]; len(kids) > 0 {
			d["First"], d["Last"], d["Count"] = refs[kids[0]], refs[kids[len(kids)-1]], int64(len(kids))
			if !open {
				d["Count"] = -int64(len(kids))
			}
		}
	}
	for i, item := range items {
		target, ok := f.places[item.anchor]
		if !ok {
			return root, fmt.Errorf("pdf: heading %q was not placed", item.text)
		}
		d := pdfsig.Dict{"Title": pdfsig.EncodeText(item.text), "Dest": f.dest(target), "Parent": root}
		if parent[i] >= 0 {
			d["Parent"] = refs[parent[i]]
		}
		siblings := children[parent[i]]
		at := sort.SearchInts(siblings, i)
		if at > 0 {
			d["Prev"] = refs[siblings[at-1]]
		}
		if at < len(siblings)-1 {
			d["Next"] = refs[siblings[at+1]]
		}
		ends(d, i, false)
		f.objects[refs[i].Num] = d
	}
	d := pdfsig.Dict{"Type": pdfsig.Name("Outlines")}
	ends(d, -1, true)
	f.objects[root.Num] = d
	return root, nil
}

// write emits the objects in order. The file's identifier is a digest of them.
func (f *finisher) write(root, info pdfsig.Ref) []byte {
	out := []byte("%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
	nums := make([]int, 0, len(f.objects))
	for n := range f.objects {
		nums = append(nums, n)
	}
	sort.Ints(nums)
	offsets := make(map[int]int, len(nums))
	for _, n := range nums {
		offsets[n] = len(out)
		out = fmt.Appendf(out, "%d 0 obj\n", n)
		out = append(pdfsig.AppendObject(out, f.objects[n]), "\nendobj\n"...)
	}
	return pdfsig.AppendXref(out, offsets, true, pdfsig.Dict{"Size": int64(f.next), "Root": root, "Info": info, "ID": fileID(out, nil)})
}

// fileID gives the two-part file identifier: the first part names the document, the second this revision of it.
func fileID(content []byte, first any) pdfsig.Array {
	sum := sha256.Sum256(content)
	id := pdfsig.String(hex.EncodeToString(sum[:16]))
	if first == nil {
		first = id
	}
	return pdfsig.Array{first, id}
}

// conformance declares PDF/A-3a and PDF/UA-1. The test in conformance_test.go has veraPDF judge unsigned and twice signed
// documents with every kind of block; the declaration is only as good as that. The second part describes the PDF/UA
// property, which PDF/A asks of every property that it does not define itself.
const conformance = `<rdf:Description rdf:about="" xmlns:pdfaid="http://www.aiim.org/pdfa/ns/id/" xmlns:pdfuaid="http://www.aiim.org/pdfua/ns/id/">
<pdfaid:part>3</pdfaid:part><pdfaid:conformance>A</pdfaid:conformance><pdfuaid:part>1</pdfuaid:part></rdf:Description>
<rdf:Description rdf:about="" xmlns:pdfaExtension="http://www.aiim.org/pdfa/ns/extension/" xmlns:pdfaSchema="http://www.aiim.org/pdfa/ns/schema#" xmlns:pdfaProperty="http://www.aiim.org/pdfa/ns/property#">
<pdfaExtension:schemas><rdf:Bag><rdf:li rdf:parseType="Resource"><pdfaSchema:schema>PDF/UA Universal Accessibility Schema</pdfaSchema:schema>
<pdfaSchema:namespaceURI>http://www.aiim.org/pdfua/ns/id/</pdfaSchema:namespaceURI><pdfaSchema:prefix>pdfuaid</pdfaSchema:prefix>
<pdfaSchema:property><rdf:Seq><rdf:li rdf:parseType="Resource"><pdfaProperty:name>part</pdfaProperty:name><pdfaProperty:valueType>Integer</pdfaProperty:valueType>
<pdfaProperty:category>internal</pdfaProperty:category><pdfaProperty:description>Part of ISO 14289 that the file conforms to</pdfaProperty:description></rdf:li></rdf:Seq></pdfaSchema:property>
</rdf:li></rdf:Bag></pdfaExtension:schemas></rdf:Description>
`

// unicodeMaps gives the fonts a map from codes to characters. The codes are UTF-16 already; fpdf says so in one range, but a
// range may not pass a multiple of 256.
func (f *finisher) unicodeMaps() error {
	var b strings.Builder
	b.WriteString("/CIDInit /ProcSet findresource begin\n12 dict begin\nbegincmap\n/CIDSystemInfo <</Registry (Adobe) /Ordering (UCS) /Supplement 0>> def\n" +
		"/CMapName /Adobe-Identity-UCS def\n/CMapType 2 def\n1 begincodespacerange\n<0000> <FFFF>\nendcodespacerange\n")
	const perBlock = 64 // an operator takes at most 100 ranges
	for high := 0; high < 256; high++ {
		if high%perBlock == 0 {
			fmt.Fprintf(&b, "%d beginbfrange\n", perBlock)
		}
		fmt.Fprintf(&b, "<%02X00> <%02[1]XFF> <%02[1]X00>\n", high)
		if high%perBlock == perBlock-1 {
			b.WriteString("endbfrange\n")
		}
	}
	b.WriteString("endcmap\nCMapName currentdict /CMap defineresource pop\nend\nend\n")
	data, err := deflate([]byte(b.String()))
	if err != nil {
		return err
	}
	ref := f.add(&pdfsig.Stream{Raw: data, Dict: pdfsig.Dict{"Filter": pdfsig.Name("FlateDecode"), "Length": int64(len(data))}})
	for _, o := range f.objects {
		font, ok := o.(pdfsig.Dict)
		if !ok || font["Subtype"] != pdfsig.Name("Type0") {
			continue
		}
		if old, ok := font["ToUnicode"].(pdfsig.Ref); ok {
			delete(f.objects, old.Num)
		}
		font["ToUnicode"] = ref
	}
	return nil
}
