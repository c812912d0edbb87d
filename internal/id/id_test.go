package id_test

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/exposuregraph/exposuregraph/internal/id"
)

// vectors were computed by an implementation in another language (the one in
// docs/ids.md), so that they say what the format is and not what this code does.
type vectors struct {
	Digests []struct {
		Name, Tag  string
		Fields     []*field
		Sum, Short string
	}
	Organizations []struct {
		Slug string
		ID   id.ID
	}
	Entities []struct {
		Organization           id.ID
		Kind, System, SourceID string
		ID                     id.ID
	}
	Sources []struct {
		Organization id.ID
		Name, System string
		ID           id.ID
	}
	AuthorityPaths []struct {
		Organization, Workload id.ID
		Identity               *id.ID
		Resource               id.ID
		ID                     id.ID
	}
	Lineages []struct {
		Organization, Workload, Resource id.ID
		ID                               id.ID
	}
	Compositions []struct {
		Workload id.ID
		Identity *id.ID
		Resource id.ID
		Roles    []id.ID
		Actions  []string
		Hash     string
	}
}

// field is one field of a digest; a null in the file is an absent one.
type field struct {
	Text  *string
	Bytes *string
	ID    *id.ID
	Texts *[]string
	IDs   *[]id.ID
}

func (f *field) add(t *testing.T, d *id.Digest) {
	t.Helper()
	switch {
	case f == nil:
		d.Absent()
	case f.Text != nil:
		d.Text(*f.Text)
	case f.Bytes != nil:
		bytes, err := hex.DecodeString(*f.Bytes)
		require.NoError(t, err)
		d.Bytes(bytes)
	case f.ID != nil:
		d.ID(*f.ID)
	case f.Texts != nil:
		d.Texts(*f.Texts)
	case f.IDs != nil:
		d.IDs(*f.IDs)
	default:
		require.Fail(t, "a field without content")
	}
}

func read(t *testing.T) (v vectors) {
	t.Helper()
	content, err := os.ReadFile("testdata/vectors.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(content, &v))
	return v
}

func TestVectors(t *testing.T) {
	t.Parallel()
	v := read(t)
	for name, count := range map[string]int{"digests": len(v.Digests), "organizations": len(v.Organizations), "entities": len(v.Entities),
		"sources": len(v.Sources), "paths": len(v.AuthorityPaths), "lineages": len(v.Lineages), "compositions": len(v.Compositions)} {
		require.GreaterOrEqual(t, count, 4, name)
	}
	seen := map[string]string{} // no two vectors of different content share a result
	once := func(result, name string) {
		require.NotContains(t, seen, result, "%s and %s", name, seen[result])
		seen[result] = name
	}
	for _, d := range v.Digests {
		digest := id.New(d.Tag)
		for _, f := range d.Fields {
			f.add(t, digest)
		}
		sum := digest.Sum()
		require.Equal(t, d.Sum, hex.EncodeToString(sum[:]), d.Name)
		require.Equal(t, d.Short, digest.Short().String(), d.Name)
		require.Equal(t, sum[:16], bytesOf(digest.Short()), "the identifier is the first half")
		once(d.Short, d.Name)
	}
	for _, o := range v.Organizations {
		require.Equal(t, o.ID, id.Organization(o.Slug), o.Slug)
		once(o.ID.String(), o.Slug)
	}
	for _, e := range v.Entities {
		require.Equal(t, e.ID, id.Entity(e.Organization, e.Kind, e.System, e.SourceID), e.SourceID)
		once(e.ID.String(), e.SourceID)
	}
	for _, s := range v.Sources {
		require.Equal(t, s.ID, id.Source(s.Organization, s.Name, s.System), s.Name)
		once(s.ID.String(), s.Name)
	}
	for _, p := range v.AuthorityPaths {
		require.Equal(t, p.ID, id.AuthorityPath(p.Organization, p.Workload, p.Identity, p.Resource))
		once(p.ID.String(), "path")
	}
	for _, l := range v.Lineages {
		require.Equal(t, l.ID, id.Lineage(l.Organization, l.Workload, l.Resource))
		once(l.ID.String(), "lineage")
	}
	for _, c := range v.Compositions {
		hash := id.Composition(c.Workload, c.Identity, c.Resource, c.Roles, c.Actions)
		require.Equal(t, c.Hash, hex.EncodeToString(hash[:]), c.Actions)
		once(c.Hash, "composition")
	}
}

func bytesOf(short id.ID) []byte { return short[:] }

// TestOptional: an identity that is not known is absent, and not the nil one.
func TestOptional(t *testing.T) {
	t.Parallel()
	some := id.Organization("acme")
	require.Equal(t, id.New("t").ID(some).Sum(), id.New("t").Optional(&some).Sum())
	require.Equal(t, id.New("t").Absent().Sum(), id.New("t").Optional(nil).Sum())
	nothing := id.Nil
	require.NotEqual(t, id.AuthorityPath(some, some, nil, some), id.AuthorityPath(some, some, &nothing, some))

	parsed, err := id.Parse(some.String())
	require.NoError(t, err)
	require.Equal(t, some, parsed)
	_, err = id.Parse("no identifier")
	require.Error(t, err)
}

// TestFieldsDoNotRunTogether draws two ways to cut texts into fields and lists;
// they share a digest only when they are the same.
func TestFieldsDoNotRunTogether(t *testing.T) {
	t.Parallel()
	// Few letters and short texts, so that the drawn texts often collide when
	// they are put behind each other.
	text := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 'a'}), 0, 3)
	fields := rapid.SliceOfN(rapid.Ptr(text, true), 0, 4)
	digest := func(list []*[]byte) [32]byte {
		d := id.New("t")
		for _, f := range list {
			if f == nil {
				d.Absent()
			} else {
				d.Bytes(*f)
			}
		}
		return d.Sum()
	}
	same := func(a, b []*[]byte) bool {
		if len(a) != len(b) {
			return false
		}
		for i := range a {
			if (a[i] == nil) != (b[i] == nil) || a[i] != nil && string(*a[i]) != string(*b[i]) {
				return false
			}
		}
		return true
	}
	rapid.Check(t, func(rt *rapid.T) {
		a, b := fields.Draw(rt, "a"), fields.Draw(rt, "b")
		require.Equal(rt, same(a, b), digest(a) == digest(b))
	})
}
