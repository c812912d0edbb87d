package eventlog

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/record/recordtest"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// readAll gives the events as id@line, and what was rejected as CODE@line.
func readAll(content io.Reader, limit int) (got []string, values int, err error) {
	var out recordtest.Collector
	r := &Reader{Prefix: "LOG", List: "items", Out: &out, MaxValue: limit, Each: func(at record.Position, o *Object) error {
		if id := o.Required("id"); id != "" {
			got = append(got, fmt.Sprintf("%s@%d", id, at.Line))
		}
		return nil
	}}
	err = r.Read("log", content)
	for _, one := range out.Rejections {
		got = append(got, fmt.Sprintf("%s@%d", one.Code, one.Line))
	}
	return got, r.Values(), err
}

func TestShapes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"lines":                        {"{\"id\":\"a\"}\n\n{\"id\":\"b\"}\r\n", []string{"a@1", "b@3"}},
		"lines without the last end":   {"{\"id\":\"a\"}\n{\"id\":\"b\"}", []string{"a@1", "b@2"}},
		"a line":                       {`{"id":"a"}`, []string{"a@1"}},
		"lists to a line":              {"{\"items\":[{\"id\":\"a\"},{\"id\":\"b\"}]}\n[{\"id\":\"c\"}]\n{\"id\":\"d\"}\n", []string{"a@1", "b@1", "c@2", "d@3"}},
		"a list":                       {"[\n {\"id\":\"a\"},\n {\n  \"id\":\"b\"}\n]\n", []string{"a@2", "b@3"}},
		"an empty list":                {"[]", nil},
		"a list under a key":           {"{\"kind\":\"List\",\n\"items\": [\n{\"id\":\"a\"}\n,{\"id\":\"b\"}],\n\"more\": {\"items\": [1]}}", []string{"a@3", "b@4"}},
		"nothing under the key":        {`{"items":null}`, nil},
		"indented events":              {"{\n \"id\": \"a\"\n}\n{\n \"id\": \"b\"\n}\n", []string{"a@1", "b@4"}},
		"a mark and blank lines":       {"\xef\xbb\xbf\n\n{\"id\":\"a\"}\n", []string{"a@3"}},
		"a line that is cut off":       {"{\"id\":\"a\"}\n{\"id\":\"b", []string{"a@1", "NOT_JSON@2"}},
		"a line that is no JSON":       {"{\"id\":\"a\"}\nhello\n{\"id\":\"b\"}\n", []string{"a@1", "b@3", "NOT_JSON@2"}},
		"two values in a line":         {"{\"id\":\"a\"}\n{\"id\":\"b\"} {\"id\":\"c\"}\n", []string{"a@1", "NOT_JSON@2"}},
		"a value that is no event":     {"1\n\"x\"\nnull\n", []string{"NOT_AN_EVENT@1", "NOT_AN_EVENT@2", "NOT_AN_EVENT@3"}},
		"an element that is none":      {"[\n1,\n{\"id\":\"a\"},\n[{\"id\":\"b\"}],null]", []string{"a@3", "NOT_AN_EVENT@2", "NOT_AN_EVENT@4", "NOT_AN_EVENT@4"}},
		"a number no float can hold":   {"8e400\n[8e400]\n{\"id\":\"a\",\"x\":8e400}\n", []string{"a@3", "NOT_AN_EVENT@1", "NOT_AN_EVENT@2"}},
		"a key twice":                  {"{\"id\":\"a\",\"id\":\"b\"}\n[{\"x\":1,\"x\":1}]\n", []string{"DUPLICATE_KEY@1", "DUPLICATE_KEY@2"}},
		"keys that differ in the case": {"{\"ID\":\"a\",\"id\":\"b\"}\n{\"ID\":\"a\"}\n", []string{"b@1", "MISSING_FIELD@2"}},
		"another type":                 {"{\"id\":1}\n", []string{"WRONG_TYPE@1"}},
		"NUL in a text":                {"{\"id\":\"a\\u0000\"}\n", []string{"ILLEGAL_VALUE@1"}},
		"no UTF-8 in a text":           {"{\"id\":\"a\xff\"}\n{\"id\":\"\\ud800\"}\n", []string{"ILLEGAL_VALUE@1", "ILLEGAL_VALUE@2"}},
		"a long text":                  {"{\"id\":\"" + strings.Repeat("a", maxText+1) + "\"}\n", []string{"ILLEGAL_VALUE@1"}},
	} {
		for _, chunk := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.OneByteReader} {
			got, _, err := readAll(chunk(strings.NewReader(test.text)), 0)
			require.NoError(t, err, name)
			require.Equal(t, test.want, got, name)
		}
	}
}

func TestFaultsOfTheFile(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text, code string
		line       int
	}{
		"a list that is cut off":         {"[\n{\"id\":\"a\"},\n{\"id\":", "LOG_TRUNCATED", 3},
		"a list without its end":         {"[\n{\"id\":\"a\"}\n", "LOG_TRUNCATED", 2},
		"a list under a key, cut off":    {"{\"items\":[{\"id\":\"a\"}", "LOG_TRUNCATED", 1},
		"an object that is cut off":      {"{\n\"id\":\"a\"", "LOG_TRUNCATED", 2},
		"no JSON":                        {"hello", "LOG_NOT_JSON", 1},
		"a list with an error":           {"[\n{\"id\":\"a\"}\n{\"id\":\"b\"}]", "LOG_NOT_JSON", 3},
		"a list that ends as an object":  {"[\n{\"id\":\"a\"}}\n", "LOG_NOT_JSON", 2},
		"an object that ends as a list":  {"{\n\"id\":\"a\"]\n", "LOG_NOT_JSON", 2},
		"an object without its key":      {"{\n1:\"a\"}", "LOG_NOT_JSON", 2},
		"gzip":                           {"\x1f\x8b\x08", "LOG_NOT_TEXT", 1},
		"UTF-16":                         {"\xff\xfe{\x00", "LOG_NOT_TEXT", 1},
		"a number under the key":         {"{\n\"items\":8e400,", "LOG_NOT_EVENTS", 2},
		"something else under the key":   {"{\n\"items\":\n{}}", "LOG_NOT_EVENTS", 3},
		"an element that is not to hold": {"[{\"id\":\"" + strings.Repeat("a", 300<<10) + "\"}]", "LOG_TOO_LARGE", 1},
	} {
		_, _, err := readAll(strings.NewReader(test.text), 100<<10)
		var fault *problem.Error
		require.ErrorAs(t, err, &fault, name)
		require.Equal(t, test.code, fault.Code, name)
		require.Equal(t, test.line, fault.Line, name)
		require.Equal(t, "log", fault.File, name)
	}
}

// TestLongLine holds that a line too long costs itself and no other.
func TestLongLine(t *testing.T) {
	t.Parallel()
	long := `{"id":"` + strings.Repeat("a", 2<<20) + `"}`
	got, _, err := readAll(strings.NewReader("{\"id\":\"a\"}\n"+long+"\n{\"id\":\"b\"}\n"+long), 1<<20)
	require.NoError(t, err)
	require.Equal(t, []string{"a@1", "b@3", "EVENT_TOO_LONG@2", "EVENT_TOO_LONG@4"}, got)
}

// TestManyEventsInOneList holds that only one event is held: far more pass than
// one may have.
func TestManyEventsInOneList(t *testing.T) {
	t.Parallel()
	event := `{"id":"a","x":"` + strings.Repeat("x", 50<<10) + `"}`
	got, _, err := readAll(strings.NewReader(`{"items":[`+strings.Repeat(event+",", 99)+event+`]}`), 60<<10)
	require.NoError(t, err)
	require.Len(t, got, 100)
}

func TestContentThatBreaks(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, text := range []string{"", "[", "{\"id\":\"a\"}\n", "[{\"id\":\"a\"},", strings.Repeat("{\"id\":\"a\"}\n", 100_000)} {
		_, _, err := readAll(io.MultiReader(strings.NewReader(text), iotest.ErrReader(broken)), 0)
		require.ErrorIs(t, err, broken)
		_, _, err = readAll(io.MultiReader(strings.NewReader(text), iotest.ErrReader(io.ErrUnexpectedEOF)), 0)
		require.ErrorContains(t, err, "cut off")
		require.Equal(t, problem.Invalid, problem.KindOf(err))
	}
	stop := errors.New("stop")
	for _, text := range []string{"{\"id\":\"a\"}\n{}\n", "[{\"id\":\"a\"}]"} {
		r := &Reader{Prefix: "LOG", Out: &recordtest.Collector{}, Each: func(record.Position, *Object) error { return stop }}
		require.ErrorIs(t, r.Read("log", strings.NewReader(text)), stop)
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{"": 0, "\n \n": 0, "[]": 1, "{}\n": 1, "{\"items\":[]}": 1, "1\n2\n": 2} {
		_, values, err := readAll(strings.NewReader(text), 0)
		require.NoError(t, err)
		require.Equal(t, want, values, "%q", text)
	}
}

func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		"{\"id\":\"a\"}\n{\"id\":\"b\"}\n", "[{\"id\":\"a\"},{\"id\":1}]", "{\"items\":[{\"id\":\"a\"}],\"items\":null}", "{\n\"items\": [1]}", "\xef\xbb\xbf{}", "[[[[", "{\"a\":{\"a\":",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		one, values, err := readAll(strings.NewReader(string(text)), 4<<10)
		if err != nil {
			require.Equal(t, problem.Invalid, problem.KindOf(err))
			var fault *problem.Error
			require.ErrorAs(t, err, &fault)
			require.Positive(t, fault.Line)
			require.LessOrEqual(t, fault.Line, strings.Count(string(text), "\n")+1)
			return
		}
		again, same, err := readAll(iotest.OneByteReader(strings.NewReader(string(text))), 4<<10)
		require.NoError(t, err)
		require.Equal(t, one, again)
		require.Equal(t, values, same)
	})
}
