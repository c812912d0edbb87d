package file_test

import (
	"context"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/file"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

// A file is kept whole: its content, its row, its asset, its links, one note.
func TestCollect(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.advance(time.Hour)
	scan := b.sync("acme").SyncID
	b.advance(time.Hour)
	u := upload("what was seen\n")
	u.Sync, u.Artifact, u.Name = &scan, "shop@sha256:1", "../../etc/pass\u202ewd.txt"
	f, created := b.collect(u)
	require.True(t, created)
	require.Equal(t, &file.File{ID: f.ID, SHA256: f.SHA256, Size: 14, MediaType: "text/plain; charset=utf-8", Name: "passwd.txt", Artifact: "shop@sha256:1",
		Sync: &scan, Actor: "ann", At: b.now(), RecordedAt: b.now()}, f)
	require.Equal(t, digest("what was seen\n"), f.SHA256.String())
	found, err := b.Find(b.ctx, acme, f.SHA256.String())
	require.NoError(t, err)
	require.Equal(t, f, found)
	content, err := b.read(b.ctx, acme, "what was seen\n")
	require.NoError(t, err)
	require.Equal(t, "what was seen\n", content)

	var asset, links string
	require.NoError(t, b.super.QueryRow(b.ctx, `SELECT concat_ws(' ', kind, value, status, version, parent_id, class, first_seen_at = $3, from_at = $3, attributes) FROM asset
		WHERE organization_id = $1 AND id = $2`, acme, f.ID, f.At).Scan(&asset))
	require.Equal(t, "file "+f.SHA256.String()+` active 1 0 t t {"name": "passwd.txt", "size": 14, "sha256": "`+f.SHA256.String()+
		`", "artifact": "shop@sha256:1", "mediaType": "text/plain; charset=utf-8"}`, asset)
	require.NoError(t, b.super.QueryRow(b.ctx, `SELECT string_agg(concat_ws(' ', e.external_id, l.basis, l.detail, l.from_at = $3, l.to_at), ', ' ORDER BY e.external_id)
		FROM asset_link l JOIN entity e ON e.organization_id = l.organization_id AND e.id = l.workload_id WHERE l.organization_id = $1 AND l.asset_id = $2`, acme, f.ID, f.At).Scan(&links))
	require.Equal(t, "cart image shop@sha256:1 t, shop image shop@sha256:1 t", links)
	require.Zero(t, b.count("file_upload"))
	require.Equal(t, 1, b.notes())
	objects, drafts := b.objects()
	require.Equal(t, []int{1, 0}, []int{objects, drafts})

	b.advance(time.Hour)
	again := upload("what was seen\n")
	again.Name = "another name"
	known, created := b.collect(again)
	require.False(t, created)
	require.Equal(t, f, known, "the first name stays")
	require.Equal(t, 1, b.notes(), "nothing happened")
	require.Equal(t, []int{1, 1, 0}, []int{b.count("file"), b.count("asset"), b.count("file_upload")})
	require.Equal(t, []string{"file t File passwd.txt collected of scan " + scan.String() + ` {"name": "passwd.txt", "size": 14, "sha256": "` + f.SHA256.String() +
		`", "mediaType": "text/plain; charset=utf-8"}`}, b.told())
}

// Two files never share an instant, and a sync comes behind both.
func TestFilesHaveTheirPlaceOnTheClock(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first, _ := b.collect(upload("one"))
	second, _ := b.collect(upload("two"))
	require.Equal(t, first.At.Add(time.Microsecond), second.At)
	require.Equal(t, second.At.Add(time.Second), b.sync("acme", "another").At)
}

func TestAFileOfAnOrganizationWithoutASync(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.super.Exec(b.ctx, `INSERT INTO organization (id, slug, name, created_at) VALUES ($1, 'new', 'new', now())`, id.Organization("new"))
	require.NoError(t, err)
	u := upload("first of all")
	u.Organization = "new"
	f, created := b.collect(u)
	require.True(t, created)
	require.Equal(t, b.now(), f.At)
}

// Whoever comes at once with the same content gets the same file, and one made it.
func TestTheSameFileAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const many = 8
	var made atomic.Int32
	var group, ready sync.WaitGroup
	ready.Add(many)
	b.between = func(step file.Step) {
		if step == file.Intended { // each has found nothing, and has its intent
			ready.Done()
			ready.Wait()
		}
	}
	files, errs := make([]*file.File, many), make([]error, many)
	for n := range many {
		group.Go(func() {
			u := upload("the same")
			u.Name = strings.Repeat("n", n+1)
			var created bool
			if files[n], created, errs[n] = b.Collect(b.ctx, u); created {
				made.Add(1)
			}
		})
	}
	group.Wait()
	for n := range many {
		require.NoError(t, errs[n])
		require.Equal(t, files[0], files[n])
	}
	require.EqualValues(t, 1, made.Load())
	require.Equal(t, []int{1, 1, 0, 1}, []int{b.count("file"), b.count("asset"), b.count("file_upload"), b.notes()})
	objects, drafts := b.objects()
	require.Equal(t, []int{1, 0}, []int{objects, drafts})
}

// An outbox that takes nothing costs the event, which the repair finds, and never the
// file.
func TestUploadOutlivesItsEvent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, sql := range []string{
		`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$`,
		`CREATE TRIGGER refuse BEFORE INSERT ON change_outbox FOR EACH ROW EXECUTE FUNCTION refuse()`,
	} {
		_, err := b.super.Exec(b.ctx, sql)
		require.NoError(t, err)
	}
	_, created := b.collect(upload("kept all the same"))
	require.True(t, created)
	require.Equal(t, []int{1, 1, 0, 0, 1}, []int{b.count("file"), b.count("asset"), b.count("file_upload"), b.notes(), b.count("change_gap")})
	require.EqualValues(t, 1, b.paths.Feed().Failures())
	content, err := b.read(b.ctx, acme, "kept all the same")
	require.NoError(t, err)
	require.Equal(t, "kept all the same", content)
}

func TestCollectRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	small := b.open(10)
	foreign := b.sync("rival").SyncID
	unknown := id.New("nothing").Short()
	with := func(change func(*file.Upload)) file.Upload {
		u := upload("some text")
		change(&u)
		return u
	}
	for name, test := range map[string]struct {
		upload file.Upload
		code   string
	}{
		"empty":                   {upload(""), "FILE_EMPTY"},
		"too large":               {upload("0123456789a"), "FILE_TOO_LARGE"},
		"a page":                  {upload("<html>"), "FILE_TYPE_REFUSED"},
		"an unknown organization": {with(func(u *file.Upload) { u.Organization = "nobody" }), "ORGANIZATION_NOT_FOUND"},
		"an unknown sync":         {with(func(u *file.Upload) { u.Sync = &unknown }), "SYNC_NOT_FOUND"},
		"another's sync":          {with(func(u *file.Upload) { u.Sync = &foreign }), "SYNC_NOT_FOUND"},
	} {
		_, _, err := small.Collect(b.ctx, test.upload)
		require.Equal(t, test.code, codeOf(t, err), name)
	}
	_, _, err := small.Collect(b.ctx, file.Upload{Organization: "acme", Content: io.MultiReader(strings.NewReader("half"), broken{})})
	require.ErrorIs(t, err, io.ErrUnexpectedEOF, "the sender's fault is the sender's")
	require.Equal(t, []int{0, 0, 0}, []int{b.count("file"), b.count("asset"), b.count("file_upload")})
	objects, drafts := b.objects()
	require.Equal(t, []int{0, 0}, []int{objects, drafts})
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// What is another organization's is not there, in the same words as what is nowhere.
func TestForeignFiles(t *testing.T) {
	t.Parallel()
	b := setup(t)
	f, _ := b.collect(upload("ours"))
	eve := access.With(context.Background(), access.Actor{Subject: "eve", Role: access.Client, Scopes: access.Scopes, Organizations: []string{"rival"}})
	_, err := b.Find(eve, rival, digest("ours"))
	require.Equal(t, "FILE_NOT_FOUND", codeOf(t, err))
	_, nowhere := b.Find(eve, rival, digest("nothing"))
	require.Equal(t, strings.ReplaceAll(err.Error(), digest("ours"), "X"), strings.ReplaceAll(nowhere.Error(), digest("nothing"), "X"))
	_, err = b.Open(eve, rival, f)
	require.Equal(t, "FILE_OBJECT_MISSING", codeOf(t, err), "the object of one organization is none of another")
	for _, err := range []error{
		second(b.Find(eve, acme, digest("ours"))), second(b.Open(eve, acme, f)), b.Check(eve, acme, f),
		second(b.Settle(eve, acme)), second(b.Examine(eve, acme)), third(b.Collect(eve, upload("theirs"))),
	} {
		require.Equal(t, "ORGANIZATION_NOT_FOUND", codeOf(t, err))
	}
	viewer := access.With(context.Background(), access.Actor{Subject: "bob", Role: access.Client, Scopes: []access.Scope{access.View}, Organizations: []string{"acme"}})
	require.Equal(t, "SCOPE_MISSING", codeOf(t, third(b.Collect(viewer, upload("seen")))))

	// The same content is another file there, and nobody learns that it was here.
	u := upload("ours")
	u.Organization = "rival"
	theirs, created, err := b.Collect(eve, u)
	require.NoError(t, err)
	require.True(t, created)
	require.NotEqual(t, f.ID, theirs.ID)
	content, err := b.read(eve, rival, "ours")
	require.NoError(t, err)
	require.Equal(t, "ours", content)
	require.Equal(t, 1, b.count("file"))
}

func second[T any](_ T, err error) error        { return err }
func third[T, U any](_ T, _ U, err error) error { return err }
