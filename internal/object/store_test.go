package object

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/exposuregraph/exposuregraph/internal/problem"
)

const limit = 1 << 20

var (
	acme  = uuid.MustParse("00000000-0000-4000-8000-00000000ac3e")
	other = uuid.MustParse("ffffffff-0000-4000-8000-00000000ffff")
)

// place is a store under test, and the hands that reach behind it.
type place struct {
	store  Store
	again  func() Store // another process that has the same store
	write  func(Address, []byte)
	drafts string // the folder of its drafts
}

// The stores that must do the same.
var stores = map[string]func(t *testing.T) place{
	"folder": func(t *testing.T) place {
		top := filepath.Join(t.TempDir(), "a", "files")
		open := func() Store {
			f, err := Open(Config{Location: top})
			require.NoError(t, err)
			return f
		}
		return place{store: open(), again: open, drafts: filepath.Join(top, incoming), write: func(a Address, content []byte) {
			require.NoError(t, os.WriteFile(filepath.Join(top, a.String()), content, 0o600))
		}}
	},
	"bucket with the path":         bucketPlace(PathStyle, ""),
	"bucket with the host":         bucketPlace(VirtualHost, "/"),
	"bucket with a prefix":         bucketPlace(PathStyle, "/files/of_ours"),
	"bucket with host and prefix/": bucketPlace(VirtualHost, "/f.1/"),
}

func bucketPlace(style Style, prefix string) func(t *testing.T) place {
	return func(t *testing.T) place {
		fake, spool := newFakeS3(t, style), t.TempDir()
		fake.pageMax = 7
		b := fake.open(prefix, spool)
		return place{store: b, again: func() Store { return fake.open(prefix, spool) }, drafts: filepath.Join(spool, incoming),
			write: func(a Address, content []byte) { fake.write(b.prefix+a.String(), content) }}
	}
}

// each runs a test over each store, and sees to it that no draft stays.
func each(t *testing.T, test func(t *testing.T, p place)) {
	t.Parallel()
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := open(t)
			test(t, p)
			left, err := os.ReadDir(p.drafts)
			require.NoError(t, err)
			require.Empty(t, left, "drafts that stay")
		})
	}
}

func put(t require.TestingT, s Store, organization uuid.UUID, content []byte) Address {
	draft, err := s.Spool().Receive(context.Background(), bytes.NewReader(content), limit)
	require.NoError(t, err)
	address, err := s.Put(context.Background(), organization, draft)
	require.NoError(t, err)
	require.NoError(t, draft.Discard())
	require.Equal(t, Address{Organization: organization, Digest: sha256.Sum256(content)}, address)
	return address
}

func read(t require.TestingT, s Store, a Address) []byte {
	content, err := s.Open(context.Background(), a)
	require.NoError(t, err)
	got, err := io.ReadAll(content)
	require.NoError(t, err)
	require.Equal(t, int64(len(got)), content.Info.Size)
	require.Equal(t, a, content.Info.Address)
	require.NoError(t, content.Close())
	return got
}

func listed(t require.TestingT, s Store, organizations ...uuid.UUID) []Address {
	got := []Address{}
	all := s.ListAll(context.Background())
	if len(organizations) > 0 {
		all = s.List(context.Background(), organizations[0])
	}
	for info, err := range all {
		require.NoError(t, err)
		require.False(t, info.Modified.IsZero())
		got = append(got, info.Address)
	}
	return got
}

func requireCode(t *testing.T, code string, err error) {
	t.Helper()
	var typed *problem.Error
	require.ErrorAs(t, err, &typed)
	require.Equal(t, code, typed.Code, "%v", err)
}

func TestWhatIsPutIsRead(t *testing.T) {
	each(t, func(t *testing.T, p place) {
		for _, size := range []int{0, 1, 511, piece - 1, piece, piece + 1, 3*piece + 17} {
			content := bytes.Repeat([]byte{byte(size), 0, '\n', 0xff}, size/4+1)[:size]
			a := put(t, p.store, acme, content)
			require.True(t, bytes.Equal(content, read(t, p.store, a)))
			info, err := p.again().Head(context.Background(), a)
			require.NoError(t, err)
			require.Equal(t, int64(size), info.Size)
			require.Equal(t, a, info.Address)
			require.False(t, info.Modified.IsZero())
		}
	})
}

// Every way in which a reader may give its bytes is the same content.
func TestHowAReaderReads(t *testing.T) {
	each(t, func(t *testing.T, p place) {
		content := []byte(strings.Repeat("abc", 1000))
		for _, reader := range []io.Reader{iotest.OneByteReader(bytes.NewReader(content)), iotest.DataErrReader(bytes.NewReader(content)), iotest.HalfReader(bytes.NewReader(content))} {
			draft, err := p.store.Spool().Receive(context.Background(), reader, int64(len(content)))
			require.NoError(t, err)
			require.Equal(t, Digest(sha256.Sum256(content)), draft.Digest())
			require.Equal(t, int64(len(content)), draft.Size())
			head := make([]byte, 5)
			_, err = draft.ReadAt(head, 1)
			require.NoError(t, err)
			require.Equal(t, "bcabc", string(head))
			require.NoError(t, draft.Discard())
			require.NoError(t, draft.Discard())
		}
	})
}

func TestTheSameContentAgain(t *testing.T) {
	each(t, func(t *testing.T, p place) {
		a := put(t, p.store, acme, []byte("same"))
		require.Equal(t, a, put(t, p.again(), acme, []byte("same")))
		require.Equal(t, []Address{a}, listed(t, p.store))
	})
}

func TestOrganizationsAreApart(t *testing.T) {
	each(t, func(t *testing.T, p place) {
		a := put(t, p.store, acme, []byte("ours"))
		foreign := Address{Organization: other, Digest: a.Digest}
		_, err := p.store.Open(context.Background(), foreign)
		require.True(t, IsMissing(err), "%v", err)
		require.Empty(t, listed(t, p.store, other))
		require.NoError(t, p.store.Delete(context.Background(), foreign))
		require.Equal(t, "ours", string(read(t, p.store, a)))
	})
}

func TestWhatIsNotThere(t *testing.T) {
	each(t, func(t *testing.T, p place) {
		a := Address{Organization: acme, Digest: Digest{1}}
		_, err := p.store.Open(context.Background(), a)
		requireCode(t, "OBJECT_MISSING", err)
		require.Equal(t, problem.NotFound, problem.KindOf(err))
		_, err = p.store.Head(context.Background(), a)
		require.True(t, IsMissing(err), "%v", err)
		require.False(t, IsDamaged(err))
		require.NoError(t, p.store.Delete(context.Background(), a))
		require.Empty(t, listed(t, p.store))

		a = put(t, p.store, acme, []byte("gone"))
		require.NoError(t, p.store.Delete(context.Background(), a))
		_, err = p.again().Head(context.Background(), a)
		require.True(t, IsMissing(err), "%v", err)
	})
}

// A damaged object is never given, not even its good part, and a put mends it.
func TestDamagedObjectIsNotGiven(t *testing.T) {
	each(t, func(t *testing.T, p place) {
		content := bytes.Repeat([]byte("x"), 2*piece)
		a := put(t, p.store, acme, content)
		flipped := bytes.Clone(content)
		flipped[len(flipped)-1] ^= 1
		for _, wrong := range [][]byte{flipped, content[:piece], append(bytes.Clone(content), 'x'), {}} {
			p.write(a, wrong)
			got, err := p.store.Open(context.Background(), a)
			require.Nil(t, got)
			require.True(t, IsDamaged(err), "%v", err)
			require.False(t, IsMissing(err))
			require.Equal(t, problem.Unavailable, problem.KindOf(err))
		}
		put(t, p.store, acme, content)
		require.True(t, bytes.Equal(content, read(t, p.store, a)))
	})
}

// endless counts how much is asked of it.
type endless struct{ given int64 }

func (e *endless) Read(into []byte) (int, error) {
	e.given += int64(len(into))
	return len(into), nil
}

func TestLimit(t *testing.T) {
	each(t, func(t *testing.T, p place) {
		spool := p.store.Spool()
		draft, err := spool.Receive(context.Background(), bytes.NewReader(make([]byte, 1000)), 1000)
		require.NoError(t, err)
		require.NoError(t, draft.Discard())

		_, err = spool.Receive(context.Background(), bytes.NewReader(make([]byte, 1001)), 1000)
		requireCode(t, "OBJECT_TOO_LARGE", err)
		require.Equal(t, problem.Limit, problem.KindOf(err))

		reader := &endless{}
		_, err = spool.Receive(context.Background(), reader, limit)
		requireCode(t, "OBJECT_TOO_LARGE", err)
		require.LessOrEqual(t, reader.given, int64(limit+piece))
	})
}

// idle gives nothing and no error, which no reader should.
type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

func TestContentThatFails(t *testing.T) {
	each(t, func(t *testing.T, p place) {
		spool, cut := p.store.Spool(), errors.New("the connection was cut")
		_, err := spool.Receive(context.Background(), io.MultiReader(strings.NewReader("half"), iotest.ErrReader(cut)), limit)
		require.Equal(t, cut, err, "it is for the caller to recognise")
		_, err = spool.Receive(context.Background(), idle{}, limit)
		require.ErrorIs(t, err, io.ErrNoProgress)
		require.Panics(t, func() { _, _ = spool.Receive(context.Background(), nil, limit) })
	})
}

func TestContextEnds(t *testing.T) {
	each(t, func(t *testing.T, p place) {
		a := put(t, p.store, acme, []byte("there"))
		draft, err := p.store.Spool().Receive(context.Background(), strings.NewReader("more"), limit)
		require.NoError(t, err)
		why := errors.New("the server stops")
		ctx, cancel := context.WithCancelCause(context.Background())
		cancel(why)

		_, err = p.store.Spool().Receive(ctx, strings.NewReader("more"), limit)
		require.Equal(t, why, err)
		_, err = p.store.Put(ctx, acme, draft)
		require.Equal(t, why, err)
		_, err = p.store.Open(ctx, a)
		require.Equal(t, why, err)
		_, err = p.store.Head(ctx, a)
		require.Equal(t, why, err)
		require.Equal(t, why, p.store.Delete(ctx, a))
		for _, err := range p.store.List(ctx, acme) {
			require.Equal(t, why, err)
		}
		_, err = p.again().Spool().Left(ctx)
		require.Equal(t, why, err)
		_, err = p.again().Spool().Sweep(ctx, time.Unix(1<<40, 0))
		require.Equal(t, why, err)

		require.NoError(t, draft.Discard())
		require.Equal(t, []Address{a}, listed(t, p.store))

		// In the middle: the reader itself ends it.
		ctx, cancel = context.WithCancelCause(context.Background())
		_, err = p.store.Spool().Receive(ctx, readerFunc(func(into []byte) (int, error) {
			cancel(why)
			return len(into), nil
		}), limit)
		require.Equal(t, why, err)
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(into []byte) (int, error) { return f(into) }

func TestDraftsThatAreUnfit(t *testing.T) {
	each(t, func(t *testing.T, p place) {
		receive := func(s Store) *Draft {
			draft, err := s.Spool().Receive(context.Background(), strings.NewReader("draft"), limit)
			require.NoError(t, err)
			return draft
		}
		discarded := receive(p.store)
		require.NoError(t, discarded.Discard())
		_, err := p.store.Put(context.Background(), acme, discarded)
		requireCode(t, "OBJECT_DRAFT_UNFIT", err)

		foreign := receive(p.again())
		_, err = p.store.Put(context.Background(), acme, foreign)
		requireCode(t, "OBJECT_DRAFT_UNFIT", err)
		require.NoError(t, foreign.Discard())

		// A second time for the same organization, as after a Put that failed, but
		// for no other.
		draft := receive(p.store)
		for range 2 {
			_, err = p.store.Put(context.Background(), acme, draft)
			require.NoError(t, err)
		}
		_, err = p.store.Put(context.Background(), other, draft)
		requireCode(t, "OBJECT_DRAFT_UNFIT", err)
		require.NoError(t, draft.Discard())
		require.Len(t, listed(t, p.store), 1)
	})
}

func TestList(t *testing.T) {
	each(t, func(t *testing.T, p place) {
		var want []Address
		for i := range 23 {
			want = append(want, put(t, p.store, acme, fmt.Appendf(nil, "%d", i)))
		}
		byKey := func(a, b Address) int { return strings.Compare(a.String(), b.String()) }
		slices.SortFunc(want, byKey)
		require.Equal(t, want, listed(t, p.store, acme))

		for i := range 9 {
			want = append(want, put(t, p.store, other, fmt.Appendf(nil, "%d", i)))
		}
		slices.SortFunc(want, byKey)
		require.Equal(t, want, listed(t, p.store))
		require.Equal(t, want[23:], listed(t, p.again(), other))

		seen := 0 // who has enough is given no more
		for range p.store.ListAll(context.Background()) {
			if seen++; seen == 10 {
				break
			}
		}
		require.Equal(t, 10, seen)
	})
}

// What has been opened stays as it is, whatever happens to the object.
func TestReadingOutlivesDeleting(t *testing.T) {
	each(t, func(t *testing.T, p place) {
		a := put(t, p.store, acme, []byte("0123456789"))
		content, err := p.store.Open(context.Background(), a)
		require.NoError(t, err)
		require.NoError(t, p.store.Delete(context.Background(), a))
		_, err = content.Seek(-3, io.SeekEnd)
		require.NoError(t, err)
		got, err := io.ReadAll(content)
		require.NoError(t, err)
		require.Equal(t, "789", string(got))
		require.NoError(t, content.Close())
	})
}

// What a killed process leaves of a draft is seen and swept by another, by its age.
// A draft that is being received is never swept by its own process.
func TestSweep(t *testing.T) {
	each(t, func(t *testing.T, p place) {
		ctx, later := context.Background(), time.Unix(1<<40, 0)
		draft, err := p.store.Spool().Receive(ctx, strings.NewReader("left behind"), limit)
		require.NoError(t, err)
		require.NoError(t, os.Mkdir(filepath.Join(p.drafts, "stranger"), 0o700))
		left, err := p.store.Spool().Left(ctx)
		require.NoError(t, err)
		require.Empty(t, left)
		swept, err := p.store.Spool().Sweep(ctx, later)
		require.NoError(t, err)
		require.Zero(t, swept)

		another := p.again().Spool()
		left, err = another.Left(ctx)
		require.NoError(t, err)
		require.Len(t, left, 1)
		require.Equal(t, int64(11), left[0].Size)
		swept, err = another.Sweep(ctx, left[0].Modified)
		require.NoError(t, err)
		require.Zero(t, swept, "it is not older")
		swept, err = another.Sweep(ctx, later)
		require.NoError(t, err)
		require.Equal(t, 1, swept)
		require.NoError(t, draft.Discard(), "who swept it did our work")
		require.NoError(t, os.Remove(filepath.Join(p.drafts, "stranger")))
	})
}

// Many at once, in two processes: the same content, other content, and readers that
// see it whole or not at all.
func TestManyAtOnce(t *testing.T) {
	each(t, func(t *testing.T, p place) {
		ctx, two := context.Background(), []Store{p.store, p.again()}
		same := bytes.Repeat([]byte("same"), 20_000)
		wanted := Address{Organization: acme, Digest: sha256.Sum256(same)}
		fates := make(chan error, 200)
		var group sync.WaitGroup
		start := make(chan struct{})
		for i := range 24 {
			group.Go(func() {
				<-start
				s := two[i%2]
				draft, err := s.Spool().Receive(ctx, bytes.NewReader(same), limit)
				if err != nil {
					fates <- err
					return
				}
				_, err = s.Put(ctx, acme, draft)
				fates <- errors.Join(err, draft.Discard())
				if content, err := s.Open(ctx, wanted); err != nil {
					fates <- err
				} else {
					fates <- content.Close()
				}
				own := put(fatal{fates}, s, acme, fmt.Appendf(nil, "own %d", i))
				if i%3 == 0 {
					fates <- s.Delete(ctx, own)
				}
			})
			group.Go(func() {
				<-start
				if content, err := two[i%2].Open(ctx, wanted); err == nil {
					got, err := io.ReadAll(content)
					if !bytes.Equal(got, same) {
						err = errors.New("read a part")
					}
					fates <- errors.Join(err, content.Close())
				} else if !IsMissing(err) {
					fates <- err
				}
			})
		}
		close(start)
		group.Wait()
		close(fates)
		for err := range fates {
			require.NoError(t, err)
		}
		require.Len(t, listed(t, p.store), 1+16)
	})
}

// fatal lets a helper fail in a goroutine of a test.
type fatal struct{ fates chan<- error }

func (f fatal) Errorf(format string, args ...any) { f.fates <- fmt.Errorf(format, args...) }
func (f fatal) FailNow()                          {}

// Any history of puts and deletes is that of a map.
func TestHistoryOfObjects(t *testing.T) {
	each(t, func(t *testing.T, p place) {
		rapid.Check(t, func(t *rapid.T) {
			for info, err := range p.store.ListAll(context.Background()) {
				require.NoError(t, err)
				require.NoError(t, p.store.Delete(context.Background(), info.Address))
			}
			model := map[Address][]byte{}
			for range rapid.IntRange(1, 12).Draw(t, "steps") {
				content := []byte(rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(t, "content"))
				a := Address{Organization: rapid.SampledFrom([]uuid.UUID{acme, other}).Draw(t, "organization"), Digest: sha256.Sum256(content)}
				switch rapid.SampledFrom([]string{"put", "put", "delete", "damage"}).Draw(t, "step") {
				case "put":
					put(t, p.store, a.Organization, content)
					model[a] = content
				case "delete":
					require.NoError(t, p.store.Delete(context.Background(), a))
					delete(model, a)
				case "damage":
					if _, there := model[a]; there {
						p.write(a, []byte("damage"))
						model[a] = nil
					}
				}
				got, err := p.store.Open(context.Background(), a)
				want, there := model[a]
				switch {
				case !there:
					require.True(t, IsMissing(err), "%v", err)
				case want == nil:
					require.True(t, IsDamaged(err), "%v", err)
				default:
					require.NoError(t, err)
					require.NoError(t, got.Close())
					require.Equal(t, want, read(t, p.store, a))
				}
				require.Len(t, listed(t, p.store), len(model))
			}
		})
	})
}
