package evidencepack

import (
	"encoding/json"
	"strings"
	"testing"

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
		got, err := canonicalize([]byte(c.plain))
		require.NoError(t, err, name)
		require.Equal(t, c.want, string(got), name)
	}
}

// TestCanonicalRefuses is what has more than one form, or none.
func TestCanonicalRefuses(t *testing.T) {
	t.Parallel()
	for _, plain := range []string{`1.5`, `1e3`, `1.0`, `-0`, `9007199254740992`, `-9007199254740992`, `99999999999999999999`, `{} {}`, `{`, "\"\xff\"", ``} {
		_, err := canonicalize([]byte(plain))
		require.Error(t, err, plain)
	}
	_, err := canonical(map[string]float64{"share": 0.5})
	require.ErrorContains(t, err, "0.5")
}

// TestIntegers: what not every reader reads exactly is a string.
func TestIntegers(t *testing.T) {
	t.Parallel()
	got, err := canonical([]integer{0, -7, maxInteger, maxInteger + 1, -maxInteger - 1, 1<<63 - 1, -1 << 63})
	require.NoError(t, err)
	require.Equal(t, `[0,-7,9007199254740991,"9007199254740992","-9007199254740992","9223372036854775807","-9223372036854775808"]`, string(got))
}

// TestCanonicalSaysTheSame: whatever the text, the form reads as it, is the form
// of itself, and has neither a blank nor a line that the text has not.
func TestCanonicalSaysTheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.MapOf(rapid.String(), rapid.SliceOf(rapid.String())).Draw(t, "value")
		form, err := canonical(value)
		require.NoError(t, err)
		again, err := canonicalize(form)
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
