package importer_test

import (
	"context"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/change"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer"
	"github.com/exposuregraph/exposuregraph/internal/importer/record/recordtest"
)

// lookout takes scans the whole way, through parser, sync and database, and reads
// back what is known of the outer surface of an organization. Its clock is set.
type lookout struct {
	*cluster
	super        *pgx.Conn
	organization string
	clock        time.Time
}

const day = 24 * time.Hour

// dawn is when the scans of these stories begin.
var dawn = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// newLookout begins after all scans of the shared data were made.
func newLookout(t testing.TB, organization string) *lookout {
	t.Helper()
	l := &lookout{organization: organization, clock: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)}
	l.cluster = newClusterAt(t, func() time.Time { return l.clock })
	l.super = l.Super(t)
	return l
}

// imports runs an import whose files are scans.
func (l *lookout) imports(request authority.SyncRequest, contents ...string) (*authority.SyncReport, error) {
	request.Organization, request.CreateOrganization = l.organization, true
	return l.importer.Run(l.ctx, importer.Request{SyncRequest: request, Files: files(contents...)})
}

// scans runs an import of which nothing is rejected.
func (l *lookout) scans(t testing.TB, format, source string, observedAt time.Time, contents ...string) *authority.SyncReport {
	t.Helper()
	report, err := l.imports(authority.SyncRequest{Format: format, Source: source, ObservedAt: observedAt}, contents...)
	require.NoError(t, err)
	require.Empty(t, report.Rejections)
	require.True(t, report.Complete)
	return report
}

// shared opens files of the shared data one after the other.
func shared(t testing.TB, elements ...string) iter.Seq2[importer.File, error] {
	t.Helper()
	path := recordtest.SharedData(t, elements...)
	return func(yield func(importer.File, error) bool) {
		content, err := os.Open(path)
		if err != nil {
			yield(importer.File{}, err)
			return
		}
		defer func() { _ = content.Close() }()
		yield(importer.File{Name: path, Content: io.Reader(content)}, nil)
	}
}

// known is what is known of an asset.
type known struct {
	Kind, Value, Status string
	State               *string
	Sha1                *string
	Plugin              *string
	Attributes          map[string]any
	FirstSeenAt         time.Time
}

// text is an attribute that is a text, empty if it is not known.
func (a known) text(key string) string {
	if text, ok := a.Attributes[key].(string); ok {
		return text
	}
	return ""
}

// assets are all assets of the organization, by kind and value.
func (l *lookout) assets(t testing.TB) map[string]known {
	t.Helper()
	rows, err := l.super.Query(context.Background(), `
		SELECT kind, value, status, state, sha1, plugin, attributes, first_seen_at
		FROM asset WHERE organization_id = $1`, id.Organization(l.organization))
	require.NoError(t, err)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[known])
	require.NoError(t, err)
	found := map[string]known{}
	for _, a := range list {
		found[a.Kind+" "+a.Value] = a
	}
	require.Len(t, found, len(list))
	return found
}

// values are the values of the active assets of a kind, sorted.
func (l *lookout) values(t testing.TB, kind string) []string {
	t.Helper()
	return l.texts(t, `SELECT value FROM asset WHERE organization_id = $1 AND kind = $2 AND status = 'active' ORDER BY value`, kind)
}

// texts runs a query of one text over an organization.
func (l *lookout) texts(t testing.TB, query string, arguments ...any) []string {
	t.Helper()
	rows, err := l.super.Query(context.Background(), query, append([]any{id.Organization(l.organization)}, arguments...)...)
	require.NoError(t, err)
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return list
}

// evaluates judges all anew at a time of the clock, as the daily job does.
func (l *lookout) evaluates(t testing.TB, at time.Time) *authority.Evaluation {
	t.Helper()
	l.clock = at
	evaluation, err := l.paths.Reevaluate(l.ctx, id.Organization(l.organization), authority.ByTime, nil)
	require.NoError(t, err)
	return evaluation
}

// sighted is an event about an asset.
type sighted struct {
	ID, CausedBy       *string
	Kind               change.Kind
	EntityType         string
	Asset, AssetKind   *string
	Scan, Job          *string
	Title              string
	OldValue, NewValue map[string]any
	At                 time.Time
}

// feed publishes what waits and gives the events after some, of which those of
// assets are to be told.
func (l *lookout) feed(t testing.TB) []sighted {
	t.Helper()
	_, err := change.NewSequencer(l.DB, func() time.Time { return l.clock }, slog.New(slog.DiscardHandler)).Drain(l.ctx, id.Organization(l.organization))
	require.NoError(t, err)
	rows, err := l.super.Query(context.Background(), `
		SELECT e.id::text AS id, e.caused_by::text AS caused_by, e.change_type AS kind, e.entity_type, a.value AS asset, a.kind AS asset_kind,
		       e.scan_id::text AS scan, e.scan_job_id::text AS job, e.title, e.old_value, e.new_value, e.at
		FROM exposure_changes e
		LEFT JOIN asset a ON a.organization_id = e.organization_id AND a.id = e.asset_id
		WHERE e.organization_id = $1 ORDER BY e.seq`, id.Organization(l.organization))
	require.NoError(t, err)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[sighted])
	require.NoError(t, err)
	return list
}

// told are the events after some, as "kind value"; those of the deliveries
// themselves are left out.
func (l *lookout) told(t testing.TB, after *int) (lines []string) {
	t.Helper()
	list := l.feed(t)
	for _, e := range list[*after:] {
		if e.Asset != nil {
			lines = append(lines, fmt.Sprintf("%s %s", e.Kind, *e.Asset))
		}
	}
	*after = len(list)
	return lines
}

// organizationOfFile is a slug for a file.
func organizationOfFile(name string) string {
	return strings.ToLower(strings.NewReplacer(".", "-", "_", "-").Replace(name))
}

// nmapped writes a scan of nmap: its targets, the ports that it probed, and hosts.
func nmapped(targets, ports string, hosts ...string) string {
	up := 0
	for _, host := range hosts {
		up += strings.Count(host, `state="up"`)
	}
	return fmt.Sprintf(`<?xml version="1.0"?><nmaprun args="nmap -p %s %s"><scaninfo type="syn" protocol="tcp" services="%s"/>%s`+
		`<runstats><finished exit="success"/><hosts up="%d"/></runstats></nmaprun>`, ports, targets, ports, strings.Join(hosts, ""), up)
}

// upHost writes a host that is up, with ports such as "22 open".
func upHost(address string, ports ...string) string {
	var text strings.Builder
	fmt.Fprintf(&text, `<host><status state="up" reason="arp-response"/><address addr="%s" addrtype="ipv4"/><ports>`, address)
	for _, port := range ports {
		number, state, _ := strings.Cut(port, " ")
		fmt.Fprintf(&text, `<port protocol="tcp" portid="%s"><state state="%s"/></port>`, number, state)
	}
	text.WriteString("</ports></host>")
	return text.String()
}

func downHost(address string) string {
	return fmt.Sprintf(`<host><status state="down" reason="no-response"/><address addr="%s" addrtype="ipv4"/></host>`, address)
}
