package rule

import (
	"slices"
	"strings"
	"unicode"
)

// Writes says whether an action changes, deletes or administers something, in
// the words of whatever system granted it: "deletecollection", "s3:PutObject",
// "Directory.ReadWrite.All", "storage.objects.create", "write:packages".
//
// An action is read for its verb. Segments are what dots, colons and slashes
// part, and the last segment with a known verb decides: systems name the thing
// first, and qualifiers such as "All" or "OwnedBy" are no verbs. In a segment it
// is the first word that counts: "DescribeImportTasks" describes. An asterisk
// where the verb would stand may be any verb, so it writes; "s3:Get*" does not.
//
// A word that is not known does not write. An exposure says what somebody may
// do, and its severity rises for it: that is claimed only where it is known.
// So executing, invoking and using do not write either, whatever they set off.
func Writes(action string) bool {
	if powers[squeeze(action)] {
		return true
	}
	parts := strings.FieldsFunc(action, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(",;|&+", r) })
	return slices.ContainsFunc(parts, func(part string) bool {
		return !strings.HasPrefix(part, "/") && verbOf(part) == writing // of "GET /import" only the method is a verb
	})
}

// WritesAny says whether one of the actions writes.
func WritesAny(actions []string) bool { return slices.ContainsFunc(actions, Writes) }

// verb is what is known of a word.
type verb int

const (
	noVerb verb = iota
	reading
	writing
)

func verbOf(action string) verb {
	decided, scoped := noVerb, false
	for _, segment := range strings.FieldsFunc(action, func(r rune) bool { return strings.ContainsRune(".:/", r) }) {
		if scoped && segment == "*" {
			continue // "read:*" reads everything
		}
		if v := verbIn(segment); v != noVerb {
			decided = v
		}
		scoped = scoping[strings.ToLower(segment)]
	}
	return decided
}

// verbIn finds the verb of a segment. Words that hyphens or underscores part may
// be in any order, as in "incident_write"; in "PermissionGrant" only the first
// is a verb.
func verbIn(segment string) verb {
	var words []string // all of them
	var first []int    // where those that hyphens and underscores part begin
	for _, unit := range strings.FieldsFunc(segment, func(r rune) bool { return r == '_' || r == '-' }) {
		first = append(first, len(words))
		if writes[strings.ToLower(unit)] {
			words = append(words, strings.ToLower(unit)) // such as "PassRole"
		} else {
			words = append(words, camel(unit)...)
		}
	}
	for _, n := range first {
		next := noVerb
		if n+1 < len(words) {
			next = verbFor(words[n+1])
		}
		if leading[words[n]] && next != noVerb {
			return next
		}
		if words[n] == "read" && next == writing {
			return writing // "ReadWrite"
		}
		if v := verbFor(words[n]); v != noVerb {
			return v
		}
	}
	return noVerb
}

// verbFor looks a word up. A word with an asterisk may be any verb that begins
// as it does.
func verbFor(word string) verb {
	stem, _, pattern := strings.Cut(word, "*")
	switch {
	case reads[stem]:
		return reading
	case writes[stem] || pattern && stem == "":
		return writing
	case !pattern:
		return noVerb
	}
	for known := range writes {
		if strings.HasPrefix(known, stem) {
			return writing
		}
	}
	return noVerb
}

// camel parts "GetDBSnapshot" into "get", "db" and "snapshot".
func camel(unit string) []string {
	var words []string
	letters, start := []rune(unit), 0
	for n := 1; n <= len(letters); n++ {
		begins := n == len(letters) || unicode.IsUpper(letters[n]) &&
			(!unicode.IsUpper(letters[n-1]) || n+1 < len(letters) && unicode.IsLower(letters[n+1]))
		if begins {
			words = append(words, strings.ToLower(string(letters[start:n])))
			start = n
		}
	}
	return words
}

// squeeze leaves the letters of an action.
func squeeze(action string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) {
			return unicode.ToLower(r)
		}
		if r == '*' {
			return r
		}
		return -1
	}, action)
}

func words(list string) map[string]bool {
	set := map[string]bool{}
	for _, word := range strings.Fields(list) {
		set[word] = true
	}
	return set
}

var (
	// powers are actions that mean every action.
	powers = words("all allprivileges allpermissions full fullcontrol fullaccess root sudo superuser")

	// leading words stand before a verb and say how it is done.
	leading = words("admin batch bulk transact")

	// scoping segments are verbs after which an asterisk says of what.
	scoping = words("get list read readonly view watch")

	reads = words(`
		audit browse check count describe discover download estimate export fetch find get head inspect list lookup
		monitor observe peek preview query read reader readonly receive report scan search select show simulate test
		validate verify view viewer watch`)

	// writes include taking another's place ("impersonate", "iam:PassRole"): whose
	// power that lends, the action does not say.
	writes = words(`
		abort accept activate actas add admin administer administrate administrator allocate alter append apply approve archive
		assign associate assume assumerole attach authorize
		ban bind block bypass
		cancel change clone commit complete configure contribute contributor control copy create
		deactivate decrease delete deletecollection deploy deregister destroy detach disable disassociate drain drop
		edit editor enable erase escalate evict
		full fullaccess fullcontrol
		grant
		impersonate import increase ingest initialize initiate insert install invite
		kill
		launch link lock
		maintain maintainer manage merge modify move mutate
		override own owner
		pass passrole patch post provision publish purge push put
		quarantine
		readwrite reboot recover regenerate register reject release remove rename replace reset resize restart restore resume
		revoke rollback rotate runinstances rw
		save scale send set share shutdown sign start stop store submit suspend
		tag terminate transfer truncate
		unarchive unassign unblock undelete uninstall unlink unlock unshare untag update upgrade upload upsert
		wipe write writer`)
)
