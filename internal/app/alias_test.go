package app_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/app"
	"github.com/exposuregraph/exposuregraph/internal/change"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

// plain asks a plain route of the API.
func plain(t *testing.T, a *app.App, token, path string) (int, []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.URL()+path, nil)
	require.NoError(t, err)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, body
}

// plainPage is a page of the plain list.
type plainPage struct {
	Nodes []struct {
		ID, Cursor, Type, OccurredAt string
		Seq                          int64
		Severity, ScanID             *string
		Path                         *struct{ ID string }
	}
	PageInfo   struct{ HasNextPage bool }
	TotalCount int
}

func plainChanges(t *testing.T, a *app.App, token, parameters string) (p plainPage) {
	t.Helper()
	status, body := plain(t, a, token, "/api/v1/organizations/acme/changes"+parameters)
	require.Equal(t, 200, status, string(body))
	require.NoError(t, json.Unmarshal(body, &p))
	return p
}

// TestPlainChanges: the plain addresses of the feed say what the API says, to those
// to whom it says it.
func TestPlainChanges(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	a, _ := start(t, config(database))
	admin := tokenFor(t, database, access.Actor{Subject: "root", Role: access.Admin, AllOrganizations: true, Scopes: access.Scopes})
	begin := time.Now().Add(-time.Hour)
	deliver(t, a, admin, begin, "first")
	deliver(t, a, admin, begin.Add(time.Minute), "first", "second")
	acknowledge(t, a, admin)
	deliver(t, a, admin, begin.Add(2*time.Minute), "second")
	published(t, a, admin)
	viewer := tokenFor(t, database, access.Actor{Subject: "bob", Role: access.Client, Organizations: []string{"acme"}, Scopes: []access.Scope{access.View}})

	whole := plainChanges(t, a, viewer, "?first=100")
	require.NotEmpty(t, whole.Nodes)
	require.Len(t, whole.Nodes, whole.TotalCount)
	require.EqualValues(t, whole.TotalCount, whole.Nodes[0].Seq, "the newest first, without a gap")
	answer := ask(t, a, viewer, `{ organization(slug: "acme") { exposureChanges(first: 100) {
		nodes { id cursor type occurredAt seq severity scanId path { id } } pageInfo { hasNextPage } totalCount } } }`)
	require.Empty(t, answer.Errors)
	var same struct{ ExposureChanges plainPage }
	require.NoError(t, json.Unmarshal(answer.Data["organization"], &same))
	require.Equal(t, same.ExposureChanges, whole)

	t.Run("page by page", func(t *testing.T) {
		var seqs []int64
		for parameters := "?order=asc&first=3"; ; {
			p := plainChanges(t, a, viewer, parameters)
			for _, n := range p.Nodes {
				seqs = append(seqs, n.Seq)
			}
			if !p.PageInfo.HasNextPage {
				break
			}
			parameters = "?order=asc&first=3&after=" + p.Nodes[len(p.Nodes)-1].Cursor
		}
		require.Len(t, seqs, whole.TotalCount)
		for i, seq := range seqs {
			require.EqualValues(t, i+1, seq)
		}
		last := plainChanges(t, a, viewer, "?order=ASC&last=1&before="+whole.Nodes[0].Cursor)
		require.EqualValues(t, whole.TotalCount-1, last.Nodes[0].Seq)
	})

	t.Run("narrowed", func(t *testing.T) {
		require.Len(t, plainChanges(t, a, viewer, "?type=sync_applied").Nodes, 3)
		both := plainChanges(t, a, viewer, "?type=sync_applied&type=EXPOSURE_DISPOSITION_CHANGED")
		require.Equal(t, 4, both.TotalCount)
		syncs := plainChanges(t, a, viewer, "?entityType=sync&order=asc").Nodes
		require.Len(t, syncs, 3)
		came := plainChanges(t, a, viewer, "?scan="+*syncs[1].ScanID)
		require.NotEmpty(t, came.Nodes)
		for _, n := range came.Nodes {
			require.Equal(t, syncs[1].ScanID, n.ScanID)
		}
		path := plainChanges(t, a, viewer, "?type=authority_path_removed").Nodes[0].Path.ID
		for _, n := range plainChanges(t, a, viewer, "?path="+path).Nodes {
			require.Equal(t, path, n.Path.ID)
		}
		require.Empty(t, plainChanges(t, a, viewer, "?path="+syncs[0].ID).Nodes, "what is no path matches nothing")
		then := url.QueryEscape(syncs[1].OccurredAt)
		before := plainChanges(t, a, viewer, "?occurredBefore="+then).TotalCount
		require.Equal(t, whole.TotalCount, before+plainChanges(t, a, viewer, "?occurredAfter="+then).TotalCount)
		require.EqualValues(t, syncs[1].Seq-1, before)
		require.Equal(t, before+came.TotalCount, plainChanges(t, a, viewer, "?asOf="+then).TotalCount)
	})

	t.Run("summary", func(t *testing.T) {
		status, body := plain(t, a, viewer, "/api/v1/organizations/acme/changes/summary?days=3")
		require.Equal(t, 200, status, string(body))
		answer := ask(t, a, viewer, `{ organization(slug: "acme") { exposureChangeSummary(days: 3) { from to days total previousTotal
			byType { type count previous } bySeverity { severity count previous } byDay { date count bySeverity { severity count } } } } }`)
		require.Empty(t, answer.Errors)
		var organization struct{ ExposureChangeSummary json.RawMessage }
		require.NoError(t, json.Unmarshal(answer.Data["organization"], &organization))
		require.JSONEq(t, string(organization.ExposureChangeSummary), string(body))
		var summary struct {
			Days, Total int
			ByDay       []any
		}
		require.NoError(t, json.Unmarshal(body, &summary))
		require.Equal(t, 3, summary.Days)
		require.Equal(t, whole.TotalCount, summary.Total)
		require.Len(t, summary.ByDay, 3)
		_, body = plain(t, a, viewer, "/api/v1/organizations/acme/changes/summary")
		require.NoError(t, json.Unmarshal(body, &summary))
		require.Equal(t, 7, summary.Days, "a week, unless it is said")
	})

	t.Run("refused", func(t *testing.T) {
		foreign := change.EncodeCursor(id.Organization("other"), 1)
		beyond := change.EncodeCursor(id.Organization("acme"), 1_000_000)
		ids := ""
		for i := range 101 {
			ids += "&exposure=" + strconv.Itoa(i)
		}
		for address, want := range map[string]struct {
			status      int
			code, field string
		}{
			"acme/changes?after=nonsense":                            {400, "CURSOR_INVALID", "after"},
			"acme/changes?before=nonsense":                           {400, "CURSOR_INVALID", "before"},
			"acme/changes?after=" + foreign:                          {400, "CURSOR_OF_ANOTHER_FEED", "after"},
			"acme/changes?after=" + beyond:                           {409, "CURSOR_BEYOND_HEAD", "after"},
			"acme/changes?first=0":                                   {400, "PAGE_SIZE", "first"},
			"acme/changes?first=-1":                                  {400, "PAGE_SIZE", "first"},
			"acme/changes?first=101":                                 {400, "PAGE_SIZE", "first"},
			"acme/changes?last=2147483647":                           {400, "LIMIT_COST", ""},
			"acme/changes?last=101":                                  {400, "PAGE_SIZE", "last"},
			"acme/changes?first=1&last=1":                            {400, "PAGE_BOTH_ENDS", "first"},
			"acme/changes?type=nonsense":                             {400, "PARAMETER_INVALID", "type"},
			"acme/changes?type=SYNC_APPLIED&type=nonsense":           {400, "PARAMETER_INVALID", "type"},
			"acme/changes?type=":                                     {400, "PARAMETER_INVALID", "type"},
			"acme/changes?entityType=planet":                         {400, "PARAMETER_INVALID", "entityType"},
			"acme/changes?severity=harmless":                         {400, "PARAMETER_INVALID", "severity"},
			"acme/changes?order=sideways":                            {400, "PARAMETER_INVALID", "order"},
			"acme/changes?occurredAfter=yesterday":                   {400, "PARAMETER_INVALID", "occurredAfter"},
			"acme/changes?x=1" + ids:                                 {400, "PARAMETER_UNKNOWN", "x"},
			"acme/changes?" + ids[1:]:                                {400, "FILTER_TOO_LARGE", "exposure"},
			"acme/changes?asOf=2999-01-01T00:00:00Z":                 {400, "ASOF_IN_FUTURE", "asOf"},
			"acme/changes?asOf=1999-01-01T00:00:00Z":                 {400, "ASOF_BEFORE_BEGINNING", "asOf"},
			"acme/changes/summary?days=0":                            {400, "DAYS", "days"},
			"acme/changes/summary?days=367":                          {400, "DAYS", "days"},
			"acme/changes/summary?days=-7":                           {400, "DAYS", "days"},
			"acme/changes/summary?days=week":                         {400, "PARAMETER_INVALID", "days"},
			"acme/changes/summary?asOf=2999-01-01T00:00:00Z":         {400, "ASOF_IN_FUTURE", "asOf"},
			"other/changes":                                          {404, "ORGANIZATION_NOT_FOUND", ""},
			"other/changes?first=0":                                  {404, "ORGANIZATION_NOT_FOUND", ""},
			"other/changes/summary":                                  {404, "ORGANIZATION_NOT_FOUND", ""},
			"Acme/changes":                                           {404, "ORGANIZATION_NOT_FOUND", ""},
			"acme/assets/nonsense/changes":                           {404, "ASSET_NOT_FOUND", ""},
			"acme/assets/nonsense/changes?type=nonsense":             {400, "PARAMETER_INVALID", "type"},
			"acme/assets/nonsense/changes?severity=high":             {400, "PARAMETER_UNKNOWN", "severity"},
			"acme/assets/nonsense/changes?asOf=2999-01-01T00:00:00Z": {400, "ASOF_IN_FUTURE", "asOf"},
			"other/assets/nonsense/changes":                          {404, "ORGANIZATION_NOT_FOUND", ""},
			"acme%22%20%7Bchanges":                                   {404, "PATH_UNKNOWN", ""},
			"acme%22%29%20%7B%20slug%20%7D%20%23/changes?last=1":     {404, "ORGANIZATION_NOT_FOUND", ""},
		} {
			status, body := plain(t, a, viewer, "/api/v1/organizations/"+address)
			requirePlainRefusal(t, address, status, body, want.status, want.code, want.field)
		}
	})

	t.Run("by whom", func(t *testing.T) {
		deaf := tokenFor(t, database, access.Actor{Subject: "deaf", Role: access.Client, Organizations: []string{"acme"}, Scopes: []access.Scope{access.Operate}})
		stranger := tokenFor(t, database, access.Actor{Subject: "eve", Role: access.Client, Organizations: []string{"other"}, Scopes: access.Scopes})
		for _, path := range []string{"/api/v1/organizations/acme/changes", "/api/v1/organizations/acme/changes/summary"} {
			for token, want := range map[string]struct {
				status int
				code   string
			}{"": {401, "TOKEN_MISSING"}, "nonsense": {401, "TOKEN_MALFORMED"}, deaf: {403, "SCOPE_MISSING"}, stranger: {404, "ORGANIZATION_NOT_FOUND"}} {
				status, body := plain(t, a, token, path)
				requirePlainRefusal(t, path, status, body, want.status, want.code, "")
			}
		}
		status, body := plain(t, a, stranger, "/api/v1/organizations/acme/changes?after="+whole.Nodes[0].Cursor)
		requirePlainRefusal(t, "a stranger with a cursor", status, body, 404, "ORGANIZATION_NOT_FOUND", "")
	})
}

// lookAt imports a scan of one host, whose port runs a product.
func lookAt(t *testing.T, a *app.App, token string, observed time.Time, state, version string) {
	t.Helper()
	report := `<nmaprun scanner="nmap" args="nmap -sV -p 443 203.0.113.7"><scaninfo protocol="tcp" services="443"/>
		<host><status state="up" reason="echo-reply"/><address addr="203.0.113.7" addrtype="ipv4"/>
		<ports><port protocol="tcp" portid="443"><state state="` + state + `"/><service name="http" product="nginx" version="` + version + `" method="probed" conf="10"/></port></ports></host>
		<runstats><finished exit="success"/><hosts up="1" down="0" total="1"/></runstats></nmaprun>`
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
		a.URL()+"/imports/nmap?org=acme&strict=true&observedAt="+url.QueryEscape(observed.UTC().Format(time.RFC3339)), strings.NewReader(report))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/octet-stream")
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode, string(body))
}

// TestPlainAssetChanges: the plain address of an asset's changes says what the API
// says of it, and nothing of its neighbours.
func TestPlainAssetChanges(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	a, _ := start(t, config(database))
	admin := tokenFor(t, database, access.Actor{Subject: "root", Role: access.Admin, AllOrganizations: true, Scopes: access.Scopes})
	begin := time.Now().Add(-time.Hour).Truncate(time.Second)
	deliver(t, a, admin, begin, "first") // which makes the organization
	for n, seen := range []struct{ state, version string }{{"open", "1.24.0"}, {"open", "1.26.2"}, {"closed", ""}, {"open", "1.26.2"}} {
		lookAt(t, a, admin, begin.Add(time.Duration(n+1)*time.Minute), seen.state, seen.version)
	}
	published(t, a, admin)
	viewer := tokenFor(t, database, access.Actor{Subject: "bob", Role: access.Client, Organizations: []string{"acme"}, Scopes: []access.Scope{access.View}})

	type page struct {
		Nodes []struct {
			ID, Cursor, Type, EntityType, EntityID, Title, OccurredAt, CreatedAt string
			Description, ScanID, ScanJobID                                       *string
			Seq                                                                  int64
			OldValue, NewValue, Metadata                                         json.RawMessage
			CausedBy                                                             *struct{ ID string }
		}
		PageInfo struct {
			HasNextPage, HasPreviousPage bool
			StartCursor, EndCursor       string
		}
		TotalCount int
	}
	const fields = `nodes { id seq cursor type entityType entityId title description oldValue newValue metadata scanId scanJobId occurredAt createdAt causedBy { id } }
		pageInfo { hasNextPage hasPreviousPage startCursor endCursor } totalCount`
	answer := ask(t, a, viewer, `{ organization(slug: "acme") { asset(type: SERVICE, value: "203.0.113.7 tcp/443") { id changes(first: 100) { `+fields+` } } } }`)
	require.Empty(t, answer.Errors)
	var organization struct {
		Asset struct {
			ID      string
			Changes json.RawMessage
		}
	}
	require.NoError(t, json.Unmarshal(answer.Data["organization"], &organization))
	address := "/api/v1/organizations/acme/assets/" + organization.Asset.ID + "/changes"
	read := func(parameters string) (p page) {
		t.Helper()
		status, body := plain(t, a, viewer, address+parameters)
		require.Equal(t, 200, status, string(body))
		require.NoError(t, json.Unmarshal(body, &p))
		return p
	}
	types := func(p page) (types []string) {
		for _, n := range p.Nodes {
			require.Equal(t, organization.Asset.ID, n.EntityID)
			types = append(types, n.Type)
		}
		return types
	}

	status, body := plain(t, a, viewer, address+"?first=100")
	require.Equal(t, 200, status, string(body))
	require.JSONEq(t, string(organization.Asset.Changes), string(body), "what the API says, field by field")
	whole := read("")
	require.Equal(t, []string{"PORT_OPENED", "PORT_CLOSED", "TECHNOLOGY_CHANGED", "SERVICE_DISCOVERED"}, types(whole), "the newest first, and none of the host's")
	require.Equal(t, 4, whole.TotalCount)

	require.Equal(t, []string{"PORT_CLOSED", "TECHNOLOGY_CHANGED"}, types(read("?type=port_closed&type=TECHNOLOGY_CHANGED")))
	changed := whole.Nodes[2]
	require.Equal(t, whole.Nodes[2:3], read("?scan="+*changed.ScanID).Nodes)
	then := url.QueryEscape(changed.OccurredAt)
	require.Equal(t, []string{"SERVICE_DISCOVERED"}, types(read("?occurredBefore="+then)))
	require.Equal(t, []string{"PORT_OPENED", "PORT_CLOSED", "TECHNOLOGY_CHANGED"}, types(read("?occurredAfter="+then)))
	require.Equal(t, []string{"TECHNOLOGY_CHANGED", "SERVICE_DISCOVERED"}, types(read("?asOf="+then)))

	first := read("?first=3")
	require.True(t, first.PageInfo.HasNextPage)
	require.Equal(t, whole.Nodes[:3], first.Nodes)
	rest := read("?first=3&after=" + first.PageInfo.EndCursor)
	require.False(t, rest.PageInfo.HasNextPage)
	require.Equal(t, whole.Nodes[3:], rest.Nodes)
	require.Equal(t, whole.Nodes[3:], read("?last=1").Nodes)

	stranger := tokenFor(t, database, access.Actor{Subject: "eve", Role: access.Client, Organizations: []string{"other"}, Scopes: access.Scopes})
	for token, want := range map[string]struct {
		status int
		code   string
	}{"": {401, "TOKEN_MISSING"}, stranger: {404, "ORGANIZATION_NOT_FOUND"}} {
		status, body := plain(t, a, token, address)
		requirePlainRefusal(t, address, status, body, want.status, want.code, "")
	}
}

func requirePlainRefusal(t *testing.T, what string, status int, body []byte, wantStatus int, code, field string) {
	t.Helper()
	var refusal struct {
		Error struct{ Kind, Code, Field, Message string }
	}
	require.NoError(t, json.Unmarshal(body, &refusal), "%s: %s", what, body)
	require.Equal(t, code, refusal.Error.Code, "%s: %s", what, body)
	require.Equal(t, wantStatus, status, "%s: %s", what, body)
	require.Equal(t, field, refusal.Error.Field, "%s: %s", what, body)
	require.NotEmpty(t, refusal.Error.Kind, what)
	require.NotEmpty(t, refusal.Error.Message, what)
}
