package canonical

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestCanonical holds the form to RFC 8785: its own examples of strings and of
// sorting, and what encoding/json would write otherwise.
func TestCanonical(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ plain, want string }{
		"literals":         {` { "c" : null , "a" : true , "b" : [ false , { } , [ ] , "" ] } `, `{"a":true,"b":[false,{},[],""],"c":null}`},
		"integers":         {`[0, -1, 9007199254740991, -9007199254740991]`, `[0,-1,9007199254740991,-9007199254740991]`},
		"the RFC's string": {`"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/"`, `"€$\u000f\nA'B\"\\\\\"/"`},
		"the RFC's keys": {`{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One","\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}`,
			`{"\r":"Carriage Return","1":"One",` + "\"\u0080\":\"Control\"," + `"ö":"Latin Small Letter O With Diaeresis","€":"Euro Sign","😀":"Emoji: Grinning Face",` + "\"\ufb33\":\"Hebrew Letter Dalet With Dagesh\"}"},
		"keys beyond the basic plane": {`{"\uffff":1,"\ue000":2,"\ud800\udc00":3,"\ud7ff":4,"a":5,"":6}`,
			"{\"\":6,\"a\":5,\"\ud7ff\":4,\"\U00010000\":3,\"\ue000\":2,\"\uffff\":1}"},
		"a key before the longer one": {`{"ab":1,"a":2,"a\u0000":3}`, `{"a":2,"a\u0000":3,"ab":1}`},
		"separators of lines":         {`"\u2028\u2029"`, "\"\u2028\u2029\""},
		"the names of HTML":           {`"\u003ca href='x'\u003e \u0026amp;"`, `"<a href='x'> &amp;"`},
		"control characters": {`"\u0000\u0001\b\t\n\u000b\f\r\u000e\u001f\u0020\u007f\u0080"`,
			`"\u0000\u0001\b\t\n\u000b\f\r\u000e\u001f ` + "\u007f\u0080\""},
		"a replacement is a character": {`"\ufffd"`, "\"\ufffd\""},
	} {
		got, err := Transform([]byte(c.plain))
		require.NoError(t, err, name)
		require.Equal(t, c.want, string(got), name)
	}
}

// TestCanonicalRefuses is what has more than one form, or none.
func TestCanonicalRefuses(t *testing.T) {
	t.Parallel()
	for _, plain := range []string{`{"a":1,"a":1}`, `[{"b":{"\u0061":1,"a":2}}]`, `[1,]`, `{"a":1,}`, `"\x"`, strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000), `1.5`, `1e3`, `1.0`, `-0`, `9007199254740992`, `-9007199254740992`, `99999999999999999999`, `{} {}`, `{`, "\"\xff\"", ``} {
		_, err := Transform([]byte(plain))
		require.Error(t, err, plain)
	}
	_, err := Marshal(map[string]float64{"share": 0.5})
	require.ErrorContains(t, err, "0.5")
}

// TestNoText: what a decoder would repair without a word is refused.
func TestNoText(t *testing.T) {
	t.Parallel()
	for _, plain := range []string{`"\ud800"`, `"\udc00"`, `"\ud800\ud800"`, `"\udc00\ud800"`, `"\ud83d \ude00"`, `"\ud83d\n"`, `{"\uD83D":1}`, `"\ud83d\\ude00"`, "\"\xff\"", "\"\xed\xa0\x80\""} {
		_, err := Transform([]byte(plain))
		require.ErrorIs(t, err, ErrText, plain)
	}
	for plain, want := range map[string]string{`"\uD83D\uDE00"`: `"😀"`, `"\\ud800"`: `"\\ud800"`, `"\\\ud83d\ude00"`: `"\\😀"`} {
		got, err := Transform([]byte(plain))
		require.NoError(t, err, plain)
		require.Equal(t, want, string(got), plain)
	}
	type inner struct{ Text string }
	type outer struct {
		*inner
		List   []any
		Map    map[string]inner
		Left   string `json:"-"`
		hidden string
		Raw    json.RawMessage
		When   time.Time
	}
	bad := "a\xffb"
	for name, value := range map[string]any{
		"a text":        bad,
		"a list":        []string{"", bad},
		"a key":         map[string]int{bad: 1},
		"an interface":  outer{List: []any{1, &inner{bad}}},
		"a value":       &outer{Map: map[string]inner{"": {bad}}},
		"an embedded":   outer{inner: &inner{bad}},
		"what is ready": outer{Raw: json.RawMessage(`"` + bad + `"`)},
		"a half":        outer{Raw: json.RawMessage(`"\ud800"`)},
	} {
		_, err := Marshal(value)
		require.ErrorIs(t, err, ErrText, name)
	}
	got, err := Marshal(outer{Left: bad, hidden: bad, List: []any{"\ufffd", nil}, Raw: json.RawMessage(`"\ufffd"`)})
	require.NoError(t, err)
	require.Equal(t, `{"List":["`+"\ufffd"+`",null],"Map":null,"Raw":"`+"\ufffd"+`","When":"0001-01-01T00:00:00Z"}`, string(got))
}

// TestIntegers: what not every reader reads exactly is a string.
func TestIntegers(t *testing.T) {
	t.Parallel()
	got, err := Marshal([]Integer{0, -7, MaxInteger, MaxInteger + 1, -MaxInteger - 1, 1<<63 - 1, -1 << 63})
	require.NoError(t, err)
	require.Equal(t, `[0,-7,9007199254740991,"9007199254740992","-9007199254740992","9223372036854775807","-9223372036854775808"]`, string(got))
	var back []Integer
	require.NoError(t, json.Unmarshal(got, &back))
	require.Equal(t, []Integer{0, -7, MaxInteger, MaxInteger + 1, -MaxInteger - 1, 1<<63 - 1, -1 << 63}, back)
	for _, other := range []string{`"7"`, `9007199254740992`, `"+9007199254740992"`, `"09007199254740992"`, `7.0`, `-0`, `""`, `"`, `"x"`, `null`, `true`, `"9223372036854775808"`} {
		require.Error(t, json.Unmarshal([]byte(other), new(Integer)), other)
	}
}

// TestCanonicalSaysTheSame: whatever the text, the form reads as it, is the form
// of itself, and has neither a blank nor a line that the text has not.
func TestCanonicalSaysTheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.MapOf(rapid.String(), rapid.SliceOf(rapid.String())).Draw(t, "value")
		form, err := Marshal(value)
		require.NoError(t, err)
		again, err := Transform(form)
		require.NoError(t, err)
		require.Equal(t, string(form), string(again))
		var back map[string][]string
		require.NoError(t, json.Unmarshal(form, &back))
		want, err := json.Marshal(value)
		require.NoError(t, err)
		got, err := json.Marshal(back)
		require.NoError(t, err)
		require.Equal(t, string(want), string(got))
		require.False(t, strings.ContainsFunc(string(form), func(r rune) bool { return r < 0x20 }))
	})
}

// TestOrderOfKeys: by units, as UTF-16 itself compares.
func TestOrderOfKeys(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.SampledFrom([]rune{0, 'a', 'b', 0xd7ff, 0xe000, 0xfffd, 0xffff, 0x10000, 0x10001, 0x103ff, 0x10400, 0x10ffff}))
		a, b := text.Draw(t, "a"), text.Draw(t, "b")
		want := slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
		require.Equal(t, want, cmp.Compare(byUnits(a, b), 0))
	})
}

// FuzzTransform: a form is the form of itself, and says what was said.
func FuzzTransform(f *testing.F) {
	for _, plain := range []string{`{"b":[1,-2,"\u20ac\ud83d\ude00"],"a":{"":null}}`, `"\ud800"`, `{"a":1,"a":2}`, `1e3`, `"9007199254740992"`} {
		f.Add([]byte(plain))
	}
	f.Fuzz(func(t *testing.T, plain []byte) {
		form, err := Transform(plain)
		if err != nil {
			return
		}
		again, err := Transform(form)
		require.NoError(t, err)
		require.Equal(t, string(form), string(again))
		var want, got any
		require.NoError(t, json.Unmarshal(plain, &want))
		require.NoError(t, json.Unmarshal(form, &got))
		require.Equal(t, want, got)
	})
}
