package change

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/ledger"
)

// What events are called. Each kind has one template; a title follows from the
// values alone, so that the same change is always called the same.

// longest is how much of a name a title takes.
const longest = 120

func cut(name string) string {
	runes := []rune(name)
	if len(runes) <= longest {
		return name
	}
	return string(runes[:longest-1]) + "…"
}

// as says through whom a path leads.
func as(identity *string) string {
	if identity == nil {
		return "as what is not known"
	}
	return "as " + cut(*identity)
}

func discoveredTitle(workload, destination string, identity *string) string {
	return fmt.Sprintf("%s can reach %s %s", cut(workload), cut(destination), as(identity))
}

func removedTitle(workload, destination string, identity *string) string {
	return fmt.Sprintf("%s can no longer reach %s %s", cut(workload), cut(destination), as(identity))
}

func reappearedTitle(workload, destination string, identity *string, gone time.Duration) string {
	return fmt.Sprintf("%s can reach %s again %s, after %s", cut(workload), cut(destination), as(identity), span(gone))
}

// span is how long something took, in the largest unit that it fills.
func span(d time.Duration) string {
	for _, unit := range []struct {
		length time.Duration
		word   string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		if d >= unit.length {
			return count(int(d/unit.length), unit.word)
		}
	}
	return count(int(d/time.Second), "second")
}

func count(n int, word string) string {
	if n != 1 {
		word += "s"
	}
	return strconv.Itoa(n) + " " + word
}

func rotationTitle(workload, from, to string) string {
	return fmt.Sprintf("%s runs as %s instead of %s", cut(workload), cut(to), cut(from))
}

func scopeTitle(workload, destination string, gained, lost []string, wasEffective, effective bool) string {
	workload, destination = cut(workload), cut(destination)
	switch {
	case len(gained) > 0 && len(lost) > 0:
		return fmt.Sprintf("%s may %s on %s, and no longer %s", workload, cut(rule.List(gained)), destination, cut(rule.List(lost)))
	case len(gained) > 0:
		return fmt.Sprintf("%s may also %s on %s", workload, cut(rule.List(gained)), destination)
	case len(lost) > 0:
		return fmt.Sprintf("%s may no longer %s on %s", workload, cut(rule.List(lost)), destination)
	case effective && !wasEffective:
		return fmt.Sprintf("%s can now use what it holds on %s", workload, destination)
	case !effective && wasEffective:
		return fmt.Sprintf("%s can no longer use what it holds on %s", workload, destination)
	}
	return fmt.Sprintf("%s holds the same on %s by other roles", workload, destination)
}

func sensitivityTitle(workload, destination, from, to string) string {
	return fmt.Sprintf("%s, which %s can reach, is %s instead of %s", cut(destination), cut(workload), to, from)
}

// typeTitle is a type of exposure at the beginning of a title.
func typeTitle(t rule.Type) string {
	words := plain(ledger.TypeWord(t))
	if rest, found := strings.CutPrefix(words, "llm "); found {
		return "LLM " + rest
	}
	return strings.ToUpper(words[:1]) + words[1:]
}

// plain is a stored word as people write it.
func plain(word string) string { return strings.ReplaceAll(word, "_", " ") }

func openedTitle(t rule.Type, severity rule.Severity, workload, destination string) string {
	return fmt.Sprintf("%s, %s: %s to %s", typeTitle(t), severityWords[severity], cut(workload), cut(destination))
}

func resolvedTitle(t rule.Type, reason, workload, destination string) string {
	return fmt.Sprintf("%s resolved (%s): %s to %s", typeTitle(t), plain(reason), cut(workload), cut(destination))
}

func disposedTitle(t rule.Type, from, to, workload, destination string) string {
	return fmt.Sprintf("%s is %s instead of %s: %s to %s", typeTitle(t), plain(to), plain(from), cut(workload), cut(destination))
}

func syncTitle(row *scanRow) string {
	if row.Outcome == "unchanged" {
		return fmt.Sprintf("%s delivered %s: nothing has changed", cut(row.Source), cut(row.System))
	}
	if row.Scans {
		return fmt.Sprintf("%s delivered %s: %s added, %d changed, %d gone; %s opened, %d resolved", cut(row.Source), cut(row.System),
			count(row.AssetsAdded, "asset"), row.AssetsChanged, row.AssetsGone, count(row.ExposuresOpened, "exposure"), row.ExposuresResolved)
	}
	return fmt.Sprintf("%s delivered %s: %s added, %d changed, %d removed; %s opened, %d resolved", cut(row.Source), cut(row.System),
		count(row.PathsAdded, "path"), row.PathsChanged, row.PathsRemoved, count(row.ExposuresOpened, "exposure"), row.ExposuresResolved)
}

func lateTitle(row *scanRow) string {
	return fmt.Sprintf("%s delivered %s late: what was observed at %s was not applied", cut(row.Source), cut(row.System), row.ObservedAt.UTC().Format(time.RFC3339))
}

// What happens to assets.

func foundTitle(row *foundRow) string {
	switch row.Kind {
	case record.HostAsset:
		return fmt.Sprintf("Host %s discovered", cut(row.Value))
	case record.DomainAsset:
		return fmt.Sprintf("Domain %s discovered", cut(row.Value))
	case record.ServiceAsset:
		return fmt.Sprintf("Service %s discovered on %s", cut(strings.Join(append([]string{row.place()}, row.words("name")...), " ")), cut(value(row.Parent)))
	case record.URLAsset:
		return fmt.Sprintf("URL %s discovered", cut(row.Value))
	case record.URLPathAsset:
		origin := value(row.Origin)
		return fmt.Sprintf("Path %s discovered on %s", cut(strings.TrimPrefix(row.Value, origin)), cut(origin))
	case record.TechnologyAsset:
		return fmt.Sprintf("Technology %s discovered on %s", cut(strings.Join(row.words("name", "version"), " ")), cut(value(row.Parent)))
	case record.CertificateAsset:
		return fmt.Sprintf("Certificate %s discovered", cut(row.name()))
	}
	return fmt.Sprintf("File %s collected", cut(value(row.FileName)))
}

// place is a port as people write it.
func (row *assetRow) place() string {
	return fmt.Sprintf("%s/%d", value(row.Protocol), value(row.Port))
}

// words are those of the attributes that there are.
func (row *assetRow) words(names ...string) (words []string) {
	for _, name := range names {
		if word := attribute(row.Attributes, name); word != nil {
			words = append(words, *word)
		}
	}
	return words
}

// name is what an asset is called in a sentence.
func (row *assetRow) name() string {
	switch row.Kind {
	case record.CertificateAsset:
		if subject := row.words("subject"); len(subject) > 0 {
			return subject[0]
		}
	case record.TechnologyAsset:
		if name := row.words("name"); len(name) > 0 {
			return cut(name[0]) + " on " + cut(value(row.Parent))
		}
	}
	return row.Value
}

func portTitle(row *assetRow, what string) string {
	return fmt.Sprintf("Port %s %s on %s", row.place(), what, cut(value(row.Parent)))
}

func technologyTitle(row *assetRow, before, after []string) string {
	if len(after) == 0 {
		return fmt.Sprintf("%s no longer runs %s", cut(row.Value), cut(rule.List(before)))
	}
	return fmt.Sprintf("%s runs %s instead of %s", cut(row.Value), cut(rule.List(after)), cut(rule.List(before)))
}

func staleTitle(row *assetRow, unseen time.Duration) string {
	return fmt.Sprintf("%s was not seen for %s", cut(row.name()), span(unseen))
}

func seenAgainTitle(row *assetRow, gone time.Duration) string {
	return fmt.Sprintf("%s was seen again after %s", cut(row.name()), span(gone))
}
