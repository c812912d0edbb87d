package file

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const maxName = 255 // bytes, as file systems have it

// nameless is what a file is called that nobody has called anything.
const nameless = "file"

// cleanName makes a label of what a sender calls a file. It is never the name of a
// file here, but it becomes one where somebody saves a download: so it is the last
// part of a path, of either sort, and has nothing in it that does not show, or turns
// around what does.
func cleanName(given string) string {
	name := strings.ToValidUTF8(given, "")
	name = name[strings.LastIndexAny(name, `/\`)+1:]
	name = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar { // controls, formats such as those of direction, private use
			return -1
		}
		return r
	}, name)
	if len(name) > maxName {
		name = name[:maxName]
		for !utf8.ValidString(name) {
			name = name[:len(name)-1]
		}
	}
	name = strings.TrimSpace(name)
	if strings.Trim(name, ". ") == "" {
		return nameless
	}
	return name
}
