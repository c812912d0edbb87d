package importer

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
)

// scannersOf are the scanners that may have written a file, by its first bytes:
// one, none, or several that write alike.
func scannersOf(head []byte) []string {
	switch {
	case jsonMark.Match(head) || commaMark.Match(head):
		return scannersOfKeys(firstKeys(head))
	case tableMark.Match(head):
		return []string{"testssl"}
	}
	if scanner := roots[rootOf(head)]; scanner != "" {
		return []string{scanner}
	}
	return nil
}

// roots are the scanners that write XML, by the root of their documents.
var roots = map[string]string{"nmaprun": "nmap", "OWASPZAPReport": "zap"}

// The marks of XML. What a scanner printed may stand before it; what is indented
// stands in something else, such as a manifest.
var (
	xmlMark     = regexp.MustCompile(`(?:\A\s*|(?m:^))<[?!A-Za-z]`)
	commentMark = regexp.MustCompile(`(?s)<!--.*?(?:-->|\z)`)
	rootMark    = regexp.MustCompile(`<([A-Za-z][A-Za-z0-9_.:-]*)[\s/>]`)
)

// rootOf is the name of the first element of a document, empty if it is none.
func rootOf(head []byte) string {
	begin := xmlMark.FindIndex(head)
	if begin == nil {
		return ""
	}
	if name := rootMark.FindSubmatch(commentMark.ReplaceAll(head[begin[0]:], nil)); name != nil {
		return string(name[1])
	}
	return ""
}

// tableMark is the first row of a table of testssl.sh.
var tableMark = regexp.MustCompile(`^\s*"?id"?,"?fqdn/ip"?,"?port"?,"?severity"?,"?finding"?\b`)

// What may stand before the first object: the list that it is in, and a comma with
// which masscan goes on where the first line of its list was taken away.
var (
	listMark  = regexp.MustCompile(`^\s*\[?[\s,]*`)
	commaMark = regexp.MustCompile(`^\s*,\s*\{`)
)

// firstKeys are the keys of the first object of a file, which may be one of a list
// and may be cut off.
func firstKeys(head []byte) map[string]bool {
	decoder := json.NewDecoder(bytes.NewReader(head[len(listMark.Find(head)):]))
	keys := map[string]bool{}
	if first, err := decoder.Token(); err != nil || first != json.Delim('{') {
		return keys
	}
	for decoder.More() {
		key, err := decoder.Token()
		name, ok := key.(string)
		if err != nil || !ok {
			return keys
		}
		keys[name] = true
		if skip(decoder) != nil {
			return keys
		}
	}
	return keys
}

// skip passes over one value.
func skip(decoder *json.Decoder) error {
	for depth := 0; ; {
		token, err := decoder.Token()
		if err != nil {
			return err
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}

// keyMarks are the keys by which scanners are told from each other: all of some,
// one at least of others, and none of those of who writes alike.
var keyMarks = []struct{ scanner, all, one, none string }{
	{scanner: "sslyze", one: "server_scan_results date_scans_started invalid_server_strings"},
	{scanner: "zap", all: "site", one: "@programName @generated"},
	{scanner: "testssl", all: "id finding severity", one: "fqdn/ip ip"},
	{scanner: "masscan", all: "ip ports"},
	{scanner: "httpx", all: "url input", one: "status_code status-code scheme failed"},
	{scanner: "subfinder", all: "host input", one: "source sources", none: "url"},
	{scanner: "naabu", all: "port", one: "ip host", none: "url ports template-id templateID info scheme finding"},
}

func scannersOfKeys(keys map[string]bool) (scanners []string) {
	for _, mark := range keyMarks {
		if has(keys, mark.all) == len(strings.Fields(mark.all)) && (mark.one == "" || has(keys, mark.one) > 0) && has(keys, mark.none) == 0 {
			scanners = append(scanners, mark.scanner)
		}
	}
	return scanners
}

// has counts how many of some names are there.
func has(keys map[string]bool, names string) (count int) {
	for name := range strings.FieldsSeq(names) {
		if keys[name] {
			count++
		}
	}
	return count
}
