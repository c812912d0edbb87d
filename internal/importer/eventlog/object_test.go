package eventlog

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/record/recordtest"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// ask gives the element of a text to a function and says what was wrong with it.
func ask(t testing.TB, text string, question func(*Object)) string {
	t.Helper()
	o, err := open("", []byte(text))
	require.NoError(t, err)
	question(o)
	if o.Sound() {
		return ""
	}
	return o.Fault().Code
}

// TestNamesAndWhatIsBeside holds that a name that cannot be kept is a fault, and
// what is only beside it is left out and counted.
func TestNamesAndWhatIsBeside(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", maxText+1)
	for _, test := range []struct {
		text, read, asText, asKey string
		left                      int
	}{
		{`{"k":"a"}`, "a", "", "", 0},
		{`{}`, "", "", "", 0},
		{`{"k":null}`, "", "", "", 0},
		{`{"k":"a\u0000"}`, "", codeIllegal, codeInvalidText, 1},
		{`{"k":"a\u001b[31m"}`, "", codeIllegal, codeInvalidText, 1},
		{"{\"k\":\"a\xff\"}", "", codeIllegal, codeInvalidText, 1},
		{`{"k":"` + long + `"}`, "", codeIllegal, codeTextTooLong, 1},
		{`{"k":"` + long[1:] + `"}`, long[1:], "", "", 0},
	} {
		name := test.text[:min(len(test.text), 30)]
		require.Equal(t, test.asText, ask(t, test.text, func(o *Object) { require.Equal(t, test.read, o.Text("k"), name) }), name)
		require.Equal(t, test.asKey, ask(t, test.text, func(o *Object) { require.Equal(t, test.read, o.Key("k"), name) }), name)
		require.Empty(t, ask(t, test.text, func(o *Object) {
			require.Equal(t, test.read, o.Loose("k"), name)
			require.Equal(t, test.left, o.LeftOut(), name)
		}), name)
	}
	for _, read := range []func(*Object){
		func(o *Object) { o.Text("k") }, func(o *Object) { o.Key("k") }, func(o *Object) { o.Loose("k") },
		func(o *Object) { o.Texts("k") }, func(o *Object) { o.Objects("k") }, func(o *Object) { o.True("k") },
	} {
		require.Equal(t, codeWrongType, ask(t, `{"k":7}`, read))
	}
}

func TestLists(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		`{}`: nil, `{"k":null}`: nil, `{"k":[]}`: {}, `{"k":"a"}`: {"a"}, `{"k":["a","b"]}`: {"a", "b"}, `{"k":["a","\u0000","","b"]}`: {"a", "b"},
	} {
		require.Empty(t, ask(t, text, func(o *Object) { require.Equal(t, want, o.Texts("k"), text) }), text)
	}
	for _, text := range []string{`{"k":[1]}`, `{"k":["a",null]}`, `{"k":{}}`} {
		require.Equal(t, codeWrongType, ask(t, text, func(o *Object) { o.Texts("k") }), text)
	}
	for _, text := range []string{`{"k":[1]}`, `{"k":[{},null]}`, `{"k":{}}`, `{"k":"a"}`} {
		require.Equal(t, codeWrongType, ask(t, text, func(o *Object) { o.Objects("k") }), text)
	}
	var left int
	require.Equal(t, codeDuplicateKey, ask(t, `{"k":[{"n":"a"},{"n":"\u0000"},{"n":1,"n":1}]}`, func(o *Object) {
		var names []string
		for _, inner := range o.Objects("k")[:2] {
			names = append(names, inner.Loose("n"))
			left = inner.LeftOut()
		}
		require.Equal(t, []string{"a", ""}, names)
		require.Equal(t, 1, o.LeftOut())
	}))
	require.Equal(t, 1, left)
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{`80`: 80, `"80"`: 80, `" 80 "`: 80, `-1`: -1, `"-1"`: -1, `"0"`: 0} {
		require.Empty(t, ask(t, `{"k": `+text+` }`, func(o *Object) {
			n, ok := o.Number("k")
			require.True(t, ok, text)
			require.Equal(t, want, n, text)
		}))
	}
	for _, text := range []string{`null`, `""`, `"http"`, `80.5`, `1e3`, `{}`, `[80]`, `true`, `99999999999999999999`} {
		o, err := open("", []byte(`{"k":`+text+`}`))
		require.NoError(t, err)
		_, ok := o.Number("k")
		require.False(t, ok, text)
		_, ok = o.Number("other")
		require.False(t, ok)
	}
	o, err := open("", []byte(`{"k":true,"n":false}`))
	require.NoError(t, err)
	require.True(t, o.True("k"))
	require.False(t, o.True("n"))
	require.False(t, o.True("other"))
}

// TestOtherNouns holds that what is no log is not spoken of as one.
func TestOtherNouns(t *testing.T) {
	t.Parallel()
	read := func(text string) (got []string, err error) {
		var out recordtest.Collector
		r := &Reader{Prefix: "SCAN", Noun: "record", List: "records", Out: &out, MaxValue: 100 << 10, Whole: true,
			Each: func(_ record.Position, o *Object) error { got = append(got, o.Required("id")); return nil },
			Holder: func(at record.Position, o *Object) error {
				got = append(got, fmt.Sprint(at.Line, o.Text("by")))
				return nil
			},
		}
		err = r.Read("scan", strings.NewReader(text))
		for _, one := range out.Rejections {
			got = append(got, one.Code+" "+one.Reason)
		}
		return got, err
	}
	for text, want := range map[string][]string{
		"{\"id\":\"a\"}\n7\n": {"a", "NOT_A_RECORD This is a single value and no record."},
		`[[1]]`:               {"NOT_A_RECORD This is a list and no record."},
		"{\"id\":\"a\"}\n\"" + strings.Repeat("a", 101<<10) + "\"\n":     {"a", "RECORD_TOO_LONG The line is longer than 102400 bytes."},
		"{\"by\":\"x\",\"records\":[{\"id\":\"a\"}],\"more\":7}":         {"a", "1x"},
		"{\n\"records\":[],\n\"by\":\"x\"}":                              {"1x"},
		"{\"records\":[{\"id\":\"a\"}],\"by\":1}":                        {"a", "1", `WRONG_TYPE The field "by" must be a text and is a number.`},
		"{\"id\":\"a\"}\n{\"id\":\"b\"}":                                 {"a", "b"},
		"{\"id\":\"a\"}\nhello":                                          {"a", "NOT_JSON The line is not JSON."},
		"{\"id\":\"a\"}\n{\"id\":\"b\"\n{\"id\":\"c\"}\n":                {"a", "c", "NOT_JSON The line is not JSON."},
		"{\"id\":\"a\"}\n{\"x\":1,\"x\":1}":                              {"a", `DUPLICATE_KEY The field "x" stands there twice.`},
		"{\"records\":[{\"id\":\"a\"}],\"by\":\"x\",\"by\":\"y\"}":       {"a", `DUPLICATE_KEY The field "by" stands there twice.`},
		"{\"records\":[{\"id\":\"a\"}]}\n{\"records\":[{\"id\":\"b\"}]}": {"a", "1", "b", "2"},
	} {
		got, err := read(text)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	// Without a key for lists none is taken for one, not even that without a name.
	given := 0
	r := &Reader{Prefix: "SCAN", Out: &recordtest.Collector{}, Each: func(record.Position, *Object) error { given++; return nil }}
	require.NoError(t, r.Read("scan", strings.NewReader(`{"":[{"a":1},{"a":2}]}`)))
	require.Equal(t, 1, given)
	for text, want := range map[string]string{
		"{\"id\":\"a\"}\n{\"id\":\"b":                "SCAN_TRUNCATED The file is cut off. Nothing of it was applied; send all of it.",
		"{\"records\":7}":                            `SCAN_NOT_RECORDS "records" must be a list of records.`,
		"[\"" + strings.Repeat("a", 300<<10) + "\"]": "SCAN_TOO_LARGE A record is larger than 102400 bytes.",
		"{" + strings.Repeat(`"a":"`+strings.Repeat("a", 1<<10)+`",`, 200) + `"id":"a"}`: "SCAN_TOO_LARGE A record is larger than 102400 bytes.",
	} {
		_, err := read(text)
		var fault *problem.Error
		require.ErrorAs(t, err, &fault)
		require.Equal(t, want, fault.Code+" "+fault.Message)
		require.Equal(t, "scan", fault.File)
	}
}
