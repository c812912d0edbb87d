package db_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/db/dbtest"
	"github.com/exposuregraph/exposuregraph/internal/id"
)

var carried = db.Parse("carried", `
-- name: create
CREATE TEMPORARY TABLE carried (n integer, "the Value" text) ON COMMIT DROP;

-- name: values
SELECT "the Value" FROM carried ORDER BY n;

`)

// carry runs do in a transaction in which there is an empty table carried.
func carry(ctx context.Context, database *db.DB, do func(tx *db.Tx) error) error {
	return database.Tenant(ctx, id.Organization("acme"), func(tx *db.Tx) error {
		if err := tx.Script(ctx, carried.Get("create")); err != nil {
			return err
		}
		return do(tx)
	})
}

// PostgreSQL finds in a column of its type each value that was put into rows.
func TestRowsCarryEveryType(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	ctx := context.Background()
	one, other := id.Organization("acme"), id.Organization("globex")
	at := time.Date(2026, 3, 1, 23, 30, 0, 123_456_789, time.FixedZone("", -2*60*60))
	// What is put into a column, and how PostgreSQL writes it.
	for column, values := range map[string]map[string]any{
		"boolean":  {"t": true, "f": false},
		"smallint": {"-32768": int16(math.MinInt16), "32767": int16(math.MaxInt16)},
		"integer":  {"-2147483648": int32(math.MinInt32), "7": int32(7)},
		"bigint":   {"-9223372036854775808": int64(math.MinInt64), "7": int64(7)},
		"text":     {"": "", "né\n": "né\n"},
		"text[]":   {"{}": []string{}, `{a,"b c",""}`: []string{"a", "b c", ""}, "null": []string(nil)},
		"uuid":     {one.String(): one, id.Nil.String(): id.Nil},
		"uuid[]":   {"{}": []id.ID{}, "{" + one.String() + "," + other.String() + "}": []id.ID{one, other}, "null": []id.ID(nil)},
		"timestamp with time zone": {"2026-03-02 01:30:00.123456+00": at, "1969-12-31 23:59:59.999999+00": time.Unix(0, -1),
			"1999-12-31 23:59:59+00": time.Date(1999, 12, 31, 23, 59, 59, 0, time.UTC)},
		"date":     {"2026-03-01": db.Day(at), "1999-12-31": db.Day(time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC))},
		"interval": {"36:00:00.000001": 36*time.Hour + time.Microsecond, "-00:00:01": -time.Second},
		"inet": {"192.0.2.1": netip.MustParseAddr("192.0.2.1"), "2001:db8::1": netip.MustParseAddr("2001:db8::1"),
			"::ffff:192.0.2.1": netip.MustParseAddr("::ffff:192.0.2.1"), "null": netip.Addr{}},
		"jsonb":          {`{"a": [1, "b"]}`: json.RawMessage(`{"a":[1,"b"]}`), "null": json.RawMessage(nil)},
		"int4multirange": {"{}": db.Ranges{}, "{[0,1),[22,24)}": db.Ranges{{First: 0, Last: 0}, {First: 22, Last: 23}}, "null": db.Ranges(nil)},
	} {
		t.Run(column, func(t *testing.T) {
			t.Parallel()
			create := db.Parse("typed", "-- name: create\nCREATE TEMPORARY TABLE typed (n integer, value "+column+") ON COMMIT DROP").Get("create")
			read := db.Parse("typed", "-- name: read\nSELECT CASE WHEN value IS NULL THEN 'null' ELSE format('%s', value) END FROM typed ORDER BY n").Get("read")
			require.NoError(t, database.Tenant(ctx, one, func(tx *db.Tx) error {
				require.NoError(t, tx.Script(ctx, create))
				var rows db.Rows
				rows.Add(int32(0), nil)
				written := []string{"null"}
				for text, value := range values {
					rows.Add(int32(len(written)), value) //nolint:gosec // a few
					written = append(written, text)
				}
				require.Equal(t, len(written), rows.Count())
				copied, err := tx.CopyRows(ctx, "typed", []string{"n", "value"}, &rows)
				require.NoError(t, err)
				require.Equal(t, int64(len(written)), copied)
				got, err := db.Column[string](ctx, tx.Local(), read, nil)
				require.NoError(t, err)
				require.Equal(t, written, got)
				return nil
			}))
		})
	}
}

// Rows are empty once they were copied, and take others.
func TestRowsOfSeveralBatches(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	ctx := context.Background()
	require.NoError(t, carry(ctx, database.DB, func(tx *db.Tx) error {
		var rows db.Rows
		send := func() int64 {
			copied, err := tx.CopyRows(ctx, "carried", []string{"n", "the Value"}, &rows)
			require.NoError(t, err)
			require.Zero(t, rows.Count())
			require.Zero(t, rows.Size())
			return copied
		}
		require.Zero(t, send(), "nothing is sent of none")
		var want []string
		for batch := range 3 {
			for range 5_000 { // more than one message to the server
				text := fmt.Sprintf("%d of batch %d", len(want), batch)
				rows.Begin(2)
				rows.Put(int32(len(want))) //nolint:gosec // a few thousand
				rows.Put(text)
				want = append(want, text)
			}
			require.Equal(t, int64(5_000), send())
		}
		got, err := db.Column[string](ctx, tx.Local(), carried.Get("values"), nil)
		require.NoError(t, err)
		require.Equal(t, want, got)
		return nil
	}))
}

// A value of a type that the form does not have, or that the column is not of, and a
// row of too few are errors, and what was added is gone with them.
func TestRowsThatDoNotFit(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	ctx := context.Background()
	for want, values := range map[string][]any{
		"a value is of a type that rows cannot hold": {int32(1), struct{ secret string }{"s3cret"}},
		"incorrect binary data format":               {int64(1), "one"},
		"row field count is 1":                       {int32(1)},
	} {
		err := carry(ctx, database.DB, func(tx *db.Tx) error {
			var rows db.Rows
			rows.Add(values...)
			rows.Add(int32(2), "two")
			_, err := tx.CopyRows(ctx, "carried", []string{"n", "the Value"}, &rows)
			require.Zero(t, rows.Size())
			return err
		})
		require.ErrorContains(t, err, "copy into carried: ")
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "s3cret")
	}
}

// A caller who has gone learns so, and not that a statement was cancelled.
func TestRowsOfACallerWhoHasGone(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	ctx, end := context.WithCancel(context.Background())
	require.ErrorIs(t, carry(ctx, database.DB, func(tx *db.Tx) error {
		end()
		var rows db.Rows
		rows.Add(int32(1), "one")
		_, err := tx.CopyRows(ctx, "carried", []string{"n", "the Value"}, &rows)
		return err
	}), context.Canceled)
}

// copyTracer notes what is copied.
type copyTracer struct {
	dbtest.Counter
	began, ended string
}

func (c *copyTracer) TraceCopyFromStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceCopyFromStartData) context.Context {
	c.began = fmt.Sprint(data.TableName, data.ColumnNames)
	return ctx
}

func (c *copyTracer) TraceCopyFromEnd(_ context.Context, _ *pgx.Conn, data pgx.TraceCopyFromEndData) {
	c.ended = data.CommandTag.String()
}

// Who traces statements sees copies, too.
func TestRowsAreTraced(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	tracer := &copyTracer{}
	database, err := db.Open(ctx, dbtest.New(t).RuntimeURL, db.Options{Tracer: tracer})
	require.NoError(t, err)
	defer database.Close()
	require.NoError(t, carry(ctx, database, func(tx *db.Tx) error {
		var rows db.Rows
		rows.Add(int32(1), "one")
		_, err := tx.CopyRows(ctx, "carried", []string{"n", "the Value"}, &rows)
		return err
	}))
	require.Equal(t, "[carried] [n the Value]", tracer.began)
	require.Equal(t, "COPY 1", tracer.ended)
}

// A row costs its bytes: what a caller puts into it stays on the caller's stack.
func TestRowsLeaveNothingBehind(t *testing.T) { //nolint:paralleltest // it counts allocations
	var rows db.Rows
	row := func(n int, name string, at time.Time, actions []string) {
		rows.Add(id.Nil, int32(n), int64(n), name, at, db.Day(at), actions, n > 0) //nolint:gosec // a few
	}
	actions := []string{"get", "list"}
	for range 10_000 {
		row(1, "a name of some length", epoch, actions)
	}
	require.Less(t, testing.AllocsPerRun(100, func() { row(300, "a name of some length", epoch, actions) }), 1.0)
}
