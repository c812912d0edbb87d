package surface

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// testLimit is smaller than the real one, so that tests need not write as much.
const testLimit = 2 << 20

// walk reads a document and says what it saw, or the code of its fault.
func walk(in io.Reader) (seen []string, err error) {
	d, err := open(in, "P", "run", testLimit)
	if err != nil {
		return nil, err
	}
	seen = append(seen, fmt.Sprintf("%d run %v", d.Line(), d.Root.Attr))
	for {
		start, path, err := d.Next()
		if errors.Is(err, io.EOF) {
			return seen, nil
		}
		if err != nil {
			return seen, err
		}
		text := fmt.Sprintf("%d %s/%s", d.Line(), strings.Join(path, "/"), start.Name.Local)
		if start.Name.Local == "host" {
			var host struct {
				A    string   `xml:"a,attr"`
				Text string   `xml:"text"`
				P    []string `xml:"ports>p"`
			}
			if err := d.Decode(&host); err != nil {
				return seen, err
			}
			text += fmt.Sprintf(" %q %q %q", host.A, host.Text, host.P)
		}
		seen = append(seen, text)
	}
}

func code(err error) string {
	var p *problem.Error
	if errors.As(err, &p) {
		return p.Code
	}
	return fmt.Sprint(err)
}

func TestDocuments(t *testing.T) {
	t.Parallel()
	const body = "<run a=\"1\">\n<info x='y'/><host a=\"&lt;&#65;\"><ports><p>1</p><p><![CDATA[<2>]]></p></ports><!-- <host/> --><text>é</text></host>\n<more><host/></more></run>\n"
	want := []string{"1 run [{{ a} 1}]", "2 run/info", `2 run/host "<A" "é" ["1" "<2>"]`, "3 run/more", `3 run/more/host "" "" []`}
	moved := func(lines int) (all []string) {
		for _, text := range want {
			all = append(all, string(text[0]+byte(lines))+text[1:])
		}
		return all
	}
	for name, test := range map[string]struct {
		text  string
		lines int
	}{
		"alone":               {body, 0},
		"declared":            {`<?xml version="1.0" encoding="UTF-8"?>` + body, 0},
		"with a type":         {"<?xml version=\"1.0\"?>\n<!DOCTYPE run>\n<?xml-stylesheet href=\"file:///etc/passwd\"?>\n" + body, 3},
		"with a type of old":  {"<!doctype run SYSTEM \"http://127.0.0.1:1/run.dtd\">\n" + body, 1},
		"with a mark":         {"\ufeff<?xml version='1.0'?>" + body, 0},
		"after a comment":     {"<!--\n<run> <?xml\n-->\n\n<?xml version=\"1.0\"?>\n" + body, 5},
		"after other output":  {"Starting <scan> & co ( https://scan.example )\n\x00\n" + body, 2},
		"with text behind it": {body + "done\n<!-- x -->", 0},
		"of one byte a letter": {`<?xml version="1.0" encoding="ISO-8859-1"?>` +
			strings.ReplaceAll(body, "é", "\xe9"), 0},
	} {
		for chop, in := range map[string]io.Reader{
			"at once": strings.NewReader(test.text), "by the byte": iotest.OneByteReader(strings.NewReader(test.text)),
			"by halves": iotest.HalfReader(strings.NewReader(test.text)), "with the end": iotest.DataErrReader(strings.NewReader(test.text)),
		} {
			seen, err := walk(in)
			require.NoError(t, err, name+" "+chop)
			require.Equal(t, moved(test.lines), seen, name+" "+chop)
		}
	}
	for text, want := range map[string]string{
		"a\x00b\x1bc":               "a\ufffdb\ufffdc",
		"a&#0;b&#x1B;c&#xd800;":     "a\ufffdb\ufffdc\ufffd",
		"a&#x41;&#xE9;&amp;#0;":     "aAé&#0;",
		"a\xffb\xe2\x82":            "a\ufffdb\ufffd\ufffd",
		"\ufffe":                    "\ufffd",
		strings.Repeat("€", 10_000): strings.Repeat("€", 10_000),
	} {
		seen, err := walk(strings.NewReader("<run><host><text>" + text + "</text></host></run>"))
		require.NoError(t, err)
		require.Contains(t, seen[1], fmt.Sprintf("%q", want))
	}
	seen, err := walk(strings.NewReader(`<?xml version="1.0" encoding="windows-1252"?><run><host a="` + "\x80\x81\x93" + `"/></run>`))
	require.NoError(t, err)
	require.Contains(t, seen[1], `"€�“"`)
}

func TestDocumentsRefused(t *testing.T) {
	t.Parallel()
	// Whoever followed a reference would read this file or reach this listener.
	canary := filepath.Join(t.TempDir(), "canary")
	require.NoError(t, os.WriteFile(canary, []byte("secret-of-the-canary"), 0o600))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	reached := make(chan struct{}, 1)
	go func() {
		if conn, err := listener.Accept(); err == nil {
			reached <- struct{}{}
			_ = conn.Close()
		}
		close(reached)
	}()
	host := listener.Addr().String()

	for name, test := range map[string]struct{ text, code string }{
		"nothing":                   {"", "P_EMPTY"},
		"blanks":                    {"\ufeff \n\t\n", "P_EMPTY"},
		"text":                      {"hello", "P_NOT_XML"},
		"JSON":                      {`{"a": 1}`, "P_NOT_XML"},
		"another root":              {"<?xml version='1.0'?><html></html>", "P_WRONG_FORMAT"},
		"another root alone":        {"<html></html>", "P_WRONG_FORMAT"},
		"a root that begins alike":  {"<runner></runner>", "P_WRONG_FORMAT"},
		"gzip":                      {"\x1f\x8b\x08", "P_NOT_TEXT"},
		"zip":                       {"PK\x03\x04", "P_NOT_TEXT"},
		"UTF-16":                    {"\xff\xfe<\x00r\x00", "P_NOT_TEXT"},
		"UTF-16 without a mark":     {"<\x00r\x00u\x00", "P_NOT_TEXT"},
		"a strange encoding":        {`<?xml version="1.0" encoding="EBCDIC"?><run/>`, "P_NOT_TEXT"},
		"another version":           {`<?xml version="2.0"?><run/>`, "P_NOT_XML"},
		"cut in an element":         {"<run><host a='1'", "P_TRUNCATED"},
		"cut in a host":             {"<run><host><ports><p>1</p>", "P_TRUNCATED"},
		"cut before the end":        {"<run><host/>", "P_TRUNCATED"},
		"cut in the declaration":    {"<?xml vers", "P_TRUNCATED"},
		"cut after the declaration": {"<?xml version='1.0'?>\n", "P_TRUNCATED"},
		"a wrong end":               {"<run><host></run></host>", "P_NOT_XML"},
		"an attribute twice":        {"<run><host a='1' a='2'/></run>", "P_NOT_XML"},
		"many attributes":           {"<run" + manyAttributes() + "/>", "P_TOO_LARGE"},
		"a loose ampersand":         {"<run>AT&T</run>", "P_NOT_XML"},
		"two documents":             {"<run/><run/>", "P_NOT_XML"},
		"two declared documents":    {"<?xml version='1.0'?><run/><?xml version='1.0'?><run/>", "P_NOT_XML"},
		"deep":                      {"<run>" + strings.Repeat("<a>", 64) + strings.Repeat("</a>", 64) + "</run>", "P_TOO_DEEP"},
		"deep in a host":            {"<run><host>" + strings.Repeat("<a>", 1000) + strings.Repeat("</a>", 1000) + "</host></run>", "P_TOO_DEEP"},

		"a file as entity":      {`<?xml version="1.0"?><!DOCTYPE run [<!ENTITY x SYSTEM "file://` + canary + `">]><run><host a="&x;"/></run>`, "P_ENTITIES"},
		"a server as entity":    {`<!DOCTYPE run [<!ENTITY % x SYSTEM "http://` + host + `/x"> %x;]><run/>`, "P_ENTITIES"},
		"an entity that grows":  {`<!DOCTYPE run [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]><run>&c;</run>`, "P_ENTITIES"},
		"an empty subset":       {`<!DOCTYPE run []><run/>`, "P_ENTITIES"},
		"a type within":         {`<run><!DOCTYPE run [<!ENTITY x "y">]><host/></run>`, "P_ENTITIES"},
		"an entity alone":       {`<!ENTITY x SYSTEM "file://` + canary + `"><run>&x;</run>`, "P_ENTITIES"},
		"an entity within":      {`<run><host><!ENTITY x "y"></host></run>`, "P_ENTITIES"},
		"an undeclared entity":  {`<run><host a="&x;"/></run>`, "P_ENTITIES"},
		"an entity of HTML":     {`<run>&nbsp;</run>`, "P_ENTITIES"},
		"an attribute list":     {`<!ATTLIST run a CDATA "x"><run/>`, "P_ENTITIES"},
		"in an older character": {`<?xml version="1.0" encoding="latin1"?><!DOCTYPE run [<!ENTITY x "y">]><run/>`, "P_ENTITIES"},
	} {
		for chop, in := range map[string]io.Reader{"at once": strings.NewReader(test.text), "by the byte": iotest.OneByteReader(strings.NewReader(test.text))} {
			seen, err := walk(in)
			require.Error(t, err, name)
			require.Equal(t, test.code, code(err), "%s %s: %v", name, chop, err)
			require.Equal(t, problem.Invalid, problem.KindOf(err), name)
			require.NotContains(t, fmt.Sprint(seen, err), "secret-of-the-canary", name)
		}
	}
	require.NoError(t, listener.Close())
	_, connected := <-reached
	require.False(t, connected, "somebody opened a connection")
}

func manyAttributes() (text string) {
	for i := range 65 {
		text += fmt.Sprintf(" a%d='x'", i)
	}
	return text
}

// endless is an input that never ends and counts what was taken of it.
type endless struct {
	begin string
	more  byte
	taken int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.begin)
	e.begin = e.begin[n:]
	for ; n < len(p); n++ {
		p[n] = e.more
	}
	e.taken += n
	return n, nil
}

func TestDocumentsAreBounded(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]string{
		"an attribute": `<run><host a="`, "a text": `<run><host><text>`, "text nobody asked for": `<run>`,
		"a comment": `<run><!-- `, "a name": `<run><`, "an instruction": `<?xml `, "a type": `<!DOCTYPE `,
	} {
		in := &endless{begin: begin, more: 'a'}
		_, err := walk(in)
		require.Equal(t, "P_TOO_LARGE", code(err), "%s: %v", name, err)
		require.Less(t, in.taken, 3*testLimit, name)
	}
	_, err := walk(&endless{more: 'a'})
	require.Equal(t, "P_NOT_XML", code(err))
	_, err = walk(strings.NewReader("<run><host>" + strings.Repeat("<a/>", testLimit/4) + "</host></run>"))
	require.Equal(t, "P_TOO_LARGE", code(err))
	d, err := XML(strings.NewReader("<run><host>"+strings.Repeat("<a/>", maxElements)+"</host></run>"), "P", "run")
	require.NoError(t, err)
	_, _, err = d.Next()
	require.NoError(t, err)
	require.Equal(t, "P_TOO_LARGE", code(d.Decode(&struct{}{})))
	_, err = walk(strings.NewReader("<run>" + strings.Repeat("<a/>", maxElements+1) + "</run>"))
	require.NoError(t, err, "of many elements only one at a time is held")
}

func TestDocumentsThatBreak(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, begin := range []string{"", "<run>", "<run><host><ports>"} {
		_, err := walk(io.MultiReader(strings.NewReader(begin), iotest.ErrReader(broken)))
		require.ErrorIs(t, err, broken, begin)
		_, err = walk(io.MultiReader(strings.NewReader(begin), iotest.ErrReader(io.ErrUnexpectedEOF)))
		require.Equal(t, "P_TRUNCATED", code(err), begin)
	}
	_, err := walk(strings.NewReader("<run>\n<host>\n</hist></run>"))
	var p *problem.Error
	require.ErrorAs(t, In("a.xml", err), &p)
	require.Equal(t, []any{"a.xml", 3}, []any{p.File, p.Line})
	require.Equal(t, broken, In("a.xml", broken))
}

// FuzzXML holds that a document means the same however it comes, and that a
// fault is a typed one.
func FuzzXML(f *testing.F) {
	for _, seed := range []string{
		"<run a='1'><host a=\"&lt;\"><ports><p>1</p></ports></host></run>", "<?xml version='1.0' encoding='latin1'?><run>\xe9</run>",
		"<!DOCTYPE run [<!ENTITY a 'b'>]><run>&a;</run>", "x\n<!-- <run> --><run>&#0;\x00</run>", "<run><host>", "<run xmlns='a' xmlns:b='c'><b:host b:a='1'/></run>",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		one, err := walk(strings.NewReader(string(text)))
		two, again := walk(iotest.OneByteReader(strings.NewReader(string(text))))
		require.Equal(t, one, two)
		require.Equal(t, fmt.Sprint(err), fmt.Sprint(again))
		if err != nil {
			require.Equal(t, problem.Invalid, problem.KindOf(err))
		}
	})
}
