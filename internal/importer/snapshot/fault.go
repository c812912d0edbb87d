package snapshot

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Codes of faults of the file: they end the parse.
const (
	codeEmpty             = "SNAPSHOT_EMPTY"
	codeNotText           = "SNAPSHOT_NOT_TEXT"
	codeHeaderMissing     = "SNAPSHOT_HEADER_MISSING"
	codeHeaderInvalid     = "SNAPSHOT_HEADER_INVALID"
	codeHeaderRepeated    = "SNAPSHOT_HEADER_REPEATED"
	codeVersion           = "SNAPSHOT_VERSION_UNSUPPORTED"
	codeLineTooLong       = "LINE_TOO_LONG"
	codeTruncated         = "SNAPSHOT_TRUNCATED"
	codeTrailerMissing    = "SNAPSHOT_TRAILER_MISSING"
	codeTrailerInvalid    = "SNAPSHOT_TRAILER_INVALID"
	codeCountsDiffer      = "SNAPSHOT_COUNTS_DIFFER"
	codeDataAfterTrailer  = "SNAPSHOT_DATA_AFTER_TRAILER"
	codeRecordUnwritable  = "SNAPSHOT_RECORD_UNWRITABLE" // the writer's
	codeWriterAlreadyShut = "SNAPSHOT_CLOSED"            // the writer's
)

// Codes of faults of a record: they reject one line.
const (
	codeNotJSON          = "NOT_JSON"
	codeNotUTF8          = "NOT_UTF8"
	codeTooDeep          = "TOO_DEEP"
	codeTooMany          = "TOO_MANY"
	codeTooLong          = "TOO_LONG"
	codeDuplicateKey     = "DUPLICATE_KEY"
	codeControlCharacter = "CONTROL_CHARACTER"
	codeLoneSurrogate    = "LONE_SURROGATE"
	codeUnknownKind      = "UNKNOWN_KIND"
	codeUnknownField     = "UNKNOWN_FIELD"
	codeMissingField     = "MISSING_FIELD"
	codeWrongType        = "WRONG_TYPE"
	codeWrongKind        = "WRONG_KIND"
	codeIllegalValue     = "ILLEGAL_VALUE"
	codeOutOfRange       = "OUT_OF_RANGE"
	codeBadTime          = "BAD_TIME"
	codeBadDay           = "BAD_DAY"
	codeTimeInFuture     = "TIME_IN_FUTURE" // in the header a fault of the file
	codeLastAtOffDay     = "LAST_AT_OFF_DAY"
	codeNoActions        = "NO_ACTIONS"
	codeNoSubject        = "NO_SUBJECT"
	codeWindowReversed   = "WINDOW_REVERSED"
)

// fault is why a line was not accepted.
type fault struct {
	code   string
	reason string
	field  string
}

// quote shows hostile or endless text safely in a reason.
func quote[T ~string | ~[]byte](text T) string {
	const limit = 48
	if len(text) <= limit {
		return fmt.Sprintf("%q", string(text))
	}
	cut := limit
	for cut > limit-utf8.UTFMax && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return fmt.Sprintf("%q…", string(text[:cut]))
}

// list writes alternatives for a reason.
func list[T ~string](words []T) string {
	parts := make([]string, len(words))
	for i, word := range words {
		parts[i] = string(word)
	}
	return strings.Join(parts, ", ")
}
