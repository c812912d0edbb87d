package db

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/internal/id"
)

// Rows are rows on their way into a table, in the binary form of COPY. A value is
// turned into bytes when it is added, so that a row leaves nothing behind for the
// garbage collector. The form has no conversions: the type of a value is that of its
// column.
//
//	bool                 boolean
//	int16, int32, int64  smallint, integer, bigint
//	string, []string     text, text[]
//	id.ID, []id.ID       uuid, uuid[]
//	time.Time, Day       timestamptz, date
//	time.Duration        interval
//	netip.Addr           inet
//	json.RawMessage      jsonb
//	Ranges               int4multirange
//
// A nil is null in a column of any type, a nil list is null, and so is an address that
// is none.
type Rows struct {
	bytes []byte
	count int
	err   error // of the first value that cannot be held
}

// Day is a date, whatever the time of that day.
type Day time.Time

// Ranges are ranges of numbers, each with its ends.
type Ranges []Range

// Range is the numbers from First to Last.
type Range struct{ First, Last int32 }

// Add adds a row. A value of another type makes CopyRows fail.
func (r *Rows) Add(values ...any) {
	r.Begin(len(values))
	r.Put(values...)
}

// Count is how many rows there are.
func (r *Rows) Count() int { return r.count }

// Size is how many bytes they take.
func (r *Rows) Size() int { return len(r.bytes) }

// The frame of the rows: a signature with no flags and no extension, and at the end a
// row without even a number of columns.
const (
	signature = "PGCOPY\n\xff\r\n\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00"
	trailer   = "\xff\xff"
)

// Begin begins a row of so many columns, whose values are put one after the other.
func (r *Rows) Begin(columns int) {
	if len(r.bytes) == 0 {
		r.bytes = append(r.bytes, signature...)
	}
	r.bytes = binary.BigEndian.AppendUint16(r.bytes, uint16(columns)) //nolint:gosec // a table has at most 1,600 columns
	r.count++
}

var errUnknownType = errors.New("a value is of a type that rows cannot hold")

// Put adds values to the row that was begun.
//
// No value is given on to anything that may keep it, not even to an error: callers
// would have to put each on the heap.
func (r *Rows) Put(values ...any) {
	for _, value := range values {
		switch v := value.(type) {
		case nil:
			r.null()
		case bool:
			r.long(1)
			if v {
				r.bytes = append(r.bytes, 1)
			} else {
				r.bytes = append(r.bytes, 0)
			}
		case int16:
			r.long(2)
			r.bytes = binary.BigEndian.AppendUint16(r.bytes, uint16(v)) //nolint:gosec // its bits
		case int32:
			r.int32(v)
		case int64:
			r.int64(v)
		case string:
			r.text(v)
		case []string:
			r.texts(v)
		case id.ID:
			r.id(v)
		case []id.ID:
			r.ids(v)
		case time.Time:
			r.int64(microseconds(v))
		case Day:
			r.int32(days(time.Time(v)))
		case time.Duration:
			r.interval(v)
		case netip.Addr:
			r.address(v)
		case json.RawMessage:
			r.json(v)
		case Ranges:
			r.ranges(v)
		default:
			r.err = errUnknownType
		}
	}
}

// long says how many bytes follow.
func (r *Rows) long(length int) {
	r.bytes = binary.BigEndian.AppendUint32(r.bytes, uint32(length)) //nolint:gosec // PostgreSQL takes no value above 1 GB
}

func (r *Rows) null() { r.bytes = append(r.bytes, 0xff, 0xff, 0xff, 0xff) }

func (r *Rows) int32(v int32) {
	r.long(4)
	r.bytes = binary.BigEndian.AppendUint32(r.bytes, uint32(v)) //nolint:gosec // its bits
}

func (r *Rows) int64(v int64) {
	r.long(8)
	r.bytes = binary.BigEndian.AppendUint64(r.bytes, uint64(v)) //nolint:gosec // its bits
}

func (r *Rows) text(v string) {
	r.long(len(v))
	r.bytes = append(r.bytes, v...)
}

func (r *Rows) id(v id.ID) {
	r.long(len(v))
	r.bytes = append(r.bytes, v[:]...)
}

// The types of the elements of arrays, as PostgreSQL numbers them.
const (
	textType = 25
	uuidType = 2950
)

func (r *Rows) texts(list []string) { array(r, textType, list, (*Rows).text) }

func (r *Rows) ids(list []id.ID) { array(r, uuidType, list, (*Rows).id) }

// array is a list without nulls: its dimensions, and of the one that a list with
// elements has its length and first index.
func array[T any](r *Rows, of uint32, list []T, put func(*Rows, T)) {
	if list == nil {
		r.null()
		return
	}
	begun := r.unmeasured()
	dimensions := min(len(list), 1)
	for _, word := range []uint32{uint32(dimensions), 0, of, uint32(len(list)), 1}[:3+2*dimensions] { //nolint:gosec // lists are short
		r.bytes = binary.BigEndian.AppendUint32(r.bytes, word)
	}
	for _, v := range list {
		put(r, v)
	}
	r.measure(begun)
}

// unmeasured begins a value whose length measure says.
func (r *Rows) unmeasured() (begun int) {
	r.null()
	return len(r.bytes)
}

func (r *Rows) measure(begun int) {
	binary.BigEndian.PutUint32(r.bytes[begun-4:], uint32(len(r.bytes)-begun)) //nolint:gosec // PostgreSQL takes no value above 1 GB
}

// epoch is where PostgreSQL begins to count.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Unix()

func microseconds(t time.Time) int64 { return (t.Unix()-epoch)*1e6 + int64(t.Nanosecond()/1e3) }

func days(t time.Time) int32 {
	year, month, day := t.Date()
	return int32((time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Unix() - epoch) / (24 * 60 * 60)) //nolint:gosec // millions of years
}

// interval has no days and months: they are not of one length.
func (r *Rows) interval(v time.Duration) {
	r.long(16)
	r.bytes = binary.BigEndian.AppendUint64(r.bytes, uint64(v.Microseconds())) //nolint:gosec // its bits
	r.bytes = append(r.bytes, 0, 0, 0, 0, 0, 0, 0, 0)
}

// address is a host: as many bits as it has, and no network.
func (r *Rows) address(v netip.Addr) {
	switch {
	case !v.IsValid():
		r.null()
	case v.Is4():
		r.long(8)
		four := v.As4()
		r.bytes = append(append(r.bytes, 2, 32, 0, 4), four[:]...)
	default:
		r.long(20)
		sixteen := v.As16()
		r.bytes = append(append(r.bytes, 3, 128, 0, 16), sixteen[:]...)
	}
}

// json is its version and its text.
func (r *Rows) json(v json.RawMessage) {
	if v == nil {
		r.null()
		return
	}
	r.long(1 + len(v))
	r.bytes = append(append(r.bytes, 1), v...)
}

func (r *Rows) ranges(list Ranges) {
	if list == nil {
		r.null()
		return
	}
	const withBothEnds = 0x02 | 0x04
	begun := r.unmeasured()
	r.long(len(list))
	for _, v := range list {
		r.long(1 + 8 + 8)
		r.bytes = append(r.bytes, withBothEnds)
		r.int32(v.First)
		r.int32(v.Last)
	}
	r.measure(begun)
}

// CopyRows loads rows into one of the transaction's temporary tables. Afterwards there
// are none, and others may be added in their place.
func (t *Tx) CopyRows(ctx context.Context, table string, columns []string, rows *Rows) (int64, error) {
	if rows.err == nil && rows.count == 0 {
		return 0, nil
	}
	copied, err := t.copy(ctx, table, columns, rows)
	if err != nil {
		*rows = Rows{} // without the bytes, which may still be read on their way to a server that does not answer
		return 0, fmt.Errorf("copy into %s: %w", table, mapError(because(ctx, err)))
	}
	*rows = Rows{bytes: rows.bytes[:0]}
	return copied, nil
}

func (t *Tx) copy(ctx context.Context, table string, columns []string, rows *Rows) (int64, error) {
	if rows.err != nil {
		return 0, rows.err
	}
	if _, err := t.begun(ctx); err != nil {
		return 0, err
	}
	quoted := make([]string, len(columns))
	for i, column := range columns {
		quoted[i] = pgx.Identifier{column}.Sanitize()
	}
	name := pgx.Identifier{table}
	if t.tracer != nil {
		ctx = t.tracer.TraceCopyFromStart(ctx, t.conn, pgx.TraceCopyFromStartData{TableName: name, ColumnNames: columns})
	}
	rows.bytes = append(rows.bytes, trailer...)
	tag, err := t.conn.PgConn().CopyFrom(ctx, bytes.NewReader(rows.bytes),
		"COPY "+name.Sanitize()+" ("+strings.Join(quoted, ", ")+") FROM STDIN (FORMAT binary)")
	if t.tracer != nil {
		t.tracer.TraceCopyFromEnd(ctx, t.conn, pgx.TraceCopyFromEndData{CommandTag: tag, Err: err})
	}
	return tag.RowsAffected(), err
}
