package ledger_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/ledger"
)

// chain writes entries behind others, as a book would.
func chain(tb testing.TB, before []ledger.Stored, entries ...*ledger.Entry) []ledger.Stored {
	tb.Helper()
	out := append([]ledger.Stored{}, before...)
	previous := ledger.Hash{}
	if len(out) > 0 {
		previous = out[len(out)-1].Hash
	}
	for _, e := range entries {
		e.Seq = int64(len(out)) + 1
		body, err := e.Body()
		require.NoError(tb, err)
		hash := ledger.Link(previous, body)
		out = append(out, ledger.Stored{Seq: e.Seq, Previous: previous, Hash: hash, Body: body})
		previous = hash
	}
	return out
}

// entries are judgements, one a minute.
func entries(from, to int, justification string) []*ledger.Entry {
	var out []*ledger.Entry
	for i := from; i <= to; i++ {
		e := judged()
		e.OccurredAt = start.Add(time.Duration(i) * time.Minute)
		e.RecordedAt = e.OccurredAt
		e.Payload = json.RawMessage(`{"justification":"` + justification + ` ` + strconv.Itoa(i) + `"}`)
		out = append(out, e)
	}
	return out
}

// checkpoint signs the first entries.
func checkpoint(tb testing.TB, stored []ledger.Stored, size int, change ...func(*ledger.Checkpoint)) string {
	tb.Helper()
	var hashes []ledger.Hash
	for _, s := range stored[:size] {
		hashes = append(hashes, s.Hash)
	}
	last, err := ledger.Parse(stored[size-1].Body)
	require.NoError(tb, err)
	c := &ledger.Checkpoint{Origin: ledger.Origin(acme), Size: int64(size), Root: merkle(hashes), Head: stored[size-1].Hash, At: last.OccurredAt}
	for _, each := range change {
		each(c)
	}
	text, err := c.Sign(signerOf(tb, testKey(tb)))
	require.NoError(tb, err)
	return text
}

// export writes what is stored to a file.
func export(tb testing.TB, stored []ledger.Stored, checkpoints ...string) string {
	tb.Helper()
	var out bytes.Buffer
	x, err := ledger.NewExporter(&out, acme, "acme", checkpoints)
	require.NoError(tb, err)
	for _, s := range stored {
		require.NoError(tb, x.Entry(s))
	}
	require.NoError(tb, x.End())
	return out.String()
}

func verify(tb testing.TB, text string, expect ledger.Expect) *ledger.Report {
	tb.Helper()
	report, err := ledger.VerifyExport(strings.NewReader(text), expect)
	require.NoError(tb, err)
	return report
}

// found are faults as code and position.
func found(report *ledger.Report) []string {
	out := []string{}
	for _, fault := range report.Faults {
		out = append(out, fmt.Sprintf("%s %d", fault.Code, fault.Seq))
	}
	return out
}

func TestSound(t *testing.T) {
	t.Parallel()
	stored := chain(t, nil, entries(1, 600, "because")...)
	checkpoints := []string{checkpoint(t, stored, 600), checkpoint(t, stored, 1), checkpoint(t, stored, 300)}
	text := export(t, stored, checkpoints...)
	report := verify(t, text, ledger.Expect{Organization: acme, Keys: testKeys(t),
		Kept: []ledger.Kept{{"a", checkpoint(t, stored, 7)}, {"b", checkpoints[0]}, {"c", checkpoints[0]}}})
	require.Empty(t, report.Faults)
	require.True(t, report.OK())
	require.Equal(t, &ledger.Report{Organization: acme, Size: 600, Head: stored[599].Hash, Root: rootOf(t, stored), Checkpoints: 3, Kept: 3,
		Signatures: true, Faults: []ledger.Fault{}}, report)

	report = verify(t, text, ledger.Expect{})
	require.True(t, report.OK())
	require.Equal(t, acme, report.Organization)
	require.False(t, report.Signatures)

	empty := verify(t, export(t, nil), ledger.Expect{})
	require.True(t, empty.OK())
	require.Equal(t, merkle(nil), empty.Root)

	// The last newline says nothing.
	require.True(t, verify(t, strings.TrimSuffix(text, "\n"), ledger.Expect{}).OK())

	_, err := ledger.VerifyExport(io.MultiReader(strings.NewReader(text[:5000]), iotest.ErrReader(errors.New("broken disk"))), ledger.Expect{})
	require.ErrorContains(t, err, "broken disk")
}

func rootOf(t *testing.T, stored []ledger.Stored) ledger.Hash {
	t.Helper()
	var hashes []ledger.Hash
	for _, s := range stored {
		hashes = append(hashes, s.Hash)
	}
	return merkle(hashes)
}

// TestTamperedEntries: whatever is done to stored entries is found, and its
// position is named. Checkpoints are those of the ledger as it was.
func TestTamperedEntries(t *testing.T) {
	t.Parallel()
	sound := chain(t, nil, entries(1, 650, "because")...)
	checkpoints := []string{checkpoint(t, sound, 100), checkpoint(t, sound, 300), checkpoint(t, sound, 600)}
	copied := func() []ledger.Stored { return append([]ledger.Stored{}, sound...) }
	edit := func(seq int, old, new string) []ledger.Stored {
		stored := copied()
		require.Contains(t, string(stored[seq-1].Body), old)
		stored[seq-1].Body = []byte(strings.Replace(string(stored[seq-1].Body), old, new, 1))
		return stored
	}
	// forge writes an entry anew, and the hashes of all that follow it.
	forge := func(seq int, change func(*ledger.Entry)) []ledger.Stored {
		var rest []*ledger.Entry
		for _, s := range sound[seq-1:] {
			e, err := ledger.Parse(s.Body)
			require.NoError(t, err)
			rest = append(rest, e)
		}
		change(rest[0])
		return chain(t, sound[:seq-1], rest...)
	}
	cases := map[string]struct {
		stored []ledger.Stored
		kept   []int // checkpoints of the ledger as it was, of these sizes
		want   []string
	}{
		"a letter":      {edit(150, "because", "becausE"), nil, []string{"HASH_MISMATCH 150"}},
		"the first":     {edit(1, "because", "becausE"), nil, []string{"HASH_MISMATCH 1"}},
		"the last":      {edit(650, "because", "becausE"), nil, []string{"HASH_MISMATCH 650"}},
		"two of them":   {func() []ledger.Stored { s := edit(150, "because", "x"); s[399].Body = s[398].Body; return s }(), nil, []string{"HASH_MISMATCH 150", "SEQ_GAP 400", "HASH_MISMATCH 400"}},
		"a spelling":    {edit(150, `"class":3`, `"class": 3`), nil, []string{"BODY_NOT_CANONICAL 150", "HASH_MISMATCH 150"}},
		"a broken body": {edit(150, `{"actors"`, `"actors"`), nil, []string{"BODY_NOT_CANONICAL 150", "HASH_MISMATCH 150"}},
		"no body":       {func() []ledger.Stored { s := copied(); s[149].Body = nil; return s }(), nil, []string{"BODY_NOT_CANONICAL 150", "HASH_MISMATCH 150"}},
		"a hash": {func() []ledger.Stored { s := copied(); s[149].Hash[5] ^= 1; return s }(), nil,
			[]string{"HASH_MISMATCH 150", "CHECKPOINT_ROOT 300", "CHECKPOINT_ROOT 600"}},
		"the hash of the last": {func() []ledger.Stored { s := copied(); s[649].Hash[5] ^= 1; return s }(), []int{650},
			[]string{"HASH_MISMATCH 650", "CHECKPOINT_ROOT 650", "CHECKPOINT_HEAD 650"}},
		"a previous hash": {func() []ledger.Stored { s := copied(); s[149].Previous[5] ^= 1; return s }(), nil,
			[]string{"HASH_MISMATCH 150", "CHAIN_BROKEN 150"}},
		"the hash before the first": {func() []ledger.Stored { s := copied(); s[0].Previous[5] ^= 1; return s }(), nil,
			[]string{"HASH_MISMATCH 1", "CHAIN_BROKEN 1"}},
		"a body and its hash": {func() []ledger.Stored {
			s := edit(150, "because", "becausE")
			s[149].Hash = ledger.Link(s[149].Previous, s[149].Body)
			return s
		}(), nil, []string{"CHAIN_BROKEN 151", "CHECKPOINT_ROOT 300", "CHECKPOINT_ROOT 600"}},
		"a rewritten past": {forge(150, func(e *ledger.Entry) { e.Class = 4 }), nil,
			[]string{"CHECKPOINT_ROOT 300", "CHECKPOINT_HEAD 300", "CHECKPOINT_ROOT 600", "CHECKPOINT_HEAD 600"}},
		"a rewritten end": {forge(601, func(e *ledger.Entry) { e.Class = 4 }), nil, []string{}},
		"a rewritten end, against a checkpoint kept outside": {forge(601, func(e *ledger.Entry) { e.Class = 4 }), []int{640, 300},
			[]string{"CHECKPOINT_ROOT 640", "CHECKPOINT_HEAD 640"}},
		"of another organization": {forge(150, func(e *ledger.Entry) { e.Organization = other }), nil,
			[]string{"FOREIGN_ENTRY 150", "CHECKPOINT_ROOT 300", "CHECKPOINT_HEAD 300", "CHECKPOINT_ROOT 600", "CHECKPOINT_HEAD 600"}},
		"an earlier instant": {forge(620, func(e *ledger.Entry) { e.OccurredAt = start }), nil, []string{"CLOCK_BACKWARDS 620"}},
		"an earlier instant that is imported": {forge(620, func(e *ledger.Entry) { e.OccurredAt, e.Imported = start, true }), nil,
			[]string{}},
		"a later instant":       {forge(620, func(e *ledger.Entry) { e.OccurredAt = e.OccurredAt.Add(150 * time.Second) }), nil, []string{"CLOCK_BACKWARDS 621", "CLOCK_BACKWARDS 622"}},
		"an earlier wall clock": {forge(620, func(e *ledger.Entry) { e.RecordedAt = start }), nil, []string{}},
		"one missing":           {append(copied()[:149], sound[150:]...), nil, []string{"SEQ_GAP 151"}},
		"ten missing":           {append(copied()[:149], sound[159:]...), nil, []string{"SEQ_GAP 160"}},
		"the first missing":     {copied()[1:], nil, []string{"SEQ_GAP 2"}},
		"one twice":             {append(copied()[:150], sound[149:]...), nil, []string{"SEQ_GAP 150"}},
		"two swapped": {func() []ledger.Stored { s := copied(); s[149], s[150] = s[150], s[149]; return s }(), nil,
			[]string{"SEQ_GAP 151", "SEQ_GAP 150"}},
		"two swapped with their numbers": {func() []ledger.Stored {
			s := copied()
			s[149].Body, s[150].Body = s[150].Body, s[149].Body
			return s
		}(), nil, []string{"SEQ_GAP 150", "HASH_MISMATCH 150", "SEQ_GAP 151", "HASH_MISMATCH 151"}},
		"two entries exchanged": {func() []ledger.Stored {
			s := copied()
			s[149].Seq, s[150].Seq = s[150].Seq, s[149].Seq
			s[149], s[150] = s[150], s[149]
			return s
		}(), nil, []string{"SEQ_GAP 150", "SEQ_GAP 151", "SEQ_GAP 151", "SEQ_GAP 150"}},
		"one inserted": {append(append(copied()[:150], chain(t, sound[:149], entries(150, 150, "forged")...)[149]), sound[150:]...), nil,
			[]string{"SEQ_GAP 150"}},
		"the end cut off":                                   {copied()[:620], nil, []string{}},
		"the end cut off, with a checkpoint":                {copied()[:550], nil, []string{"TRUNCATED 550"}},
		"the end cut off, against checkpoints kept outside": {copied()[:620], []int{640, 620, 630}, []string{"TRUNCATED 620", "TRUNCATED 620"}},
		"everything cut off":                                {nil, nil, []string{"TRUNCATED 0", "TRUNCATED 0", "TRUNCATED 0"}},
	}
	for name, c := range cases {
		expect := ledger.Expect{Organization: acme, Keys: testKeys(t)}
		for _, size := range c.kept {
			expect.Kept = append(expect.Kept, ledger.Kept{Name: strconv.Itoa(size), Note: checkpoint(t, sound, size)})
		}
		report := verify(t, export(t, c.stored, checkpoints...), expect)
		require.Equal(t, c.want, found(report), "%s: %v", name, report.Faults)
	}

	// The same through Check, as a look at the database does it: the faults have no
	// lines, and the checkpoints that are stored are given as those kept outside.
	check := ledger.NewCheck(ledger.Expect{Organization: acme, Kept: []ledger.Kept{{"100", checkpoints[0]}, {"300", checkpoints[1]}}})
	for _, s := range forge(150, func(e *ledger.Entry) { e.Class = 4 }) {
		check.Entry(s)
	}
	report := check.End()
	require.Equal(t, []string{"CHECKPOINT_ROOT 300", "CHECKPOINT_HEAD 300"}, found(report))
	require.Equal(t, 1, report.Kept)
	require.Contains(t, report.Faults[0].Message, "up to entry 100")
	require.Zero(t, report.Faults[0].Line)
}

// TestTamperedExport: so is whatever is done to the file.
func TestTamperedExport(t *testing.T) {
	t.Parallel()
	stored := chain(t, nil, entries(1, 20, "because")...)
	sound := export(t, stored, checkpoint(t, stored, 10))
	lines := strings.SplitAfter(sound, "\n")
	lines = lines[:len(lines)-1]
	require.Len(t, lines, 23) // the checkpoint is line 12
	copied := func() []string { return append([]string{}, lines...) }
	edit := func(line int, old, new string) []string {
		out := copied()
		require.Contains(t, out[line-1], old)
		out[line-1] = strings.Replace(out[line-1], old, new, 1)
		return out
	}
	with := func(change ...func(*ledger.Checkpoint)) []string {
		return strings.SplitAfter(export(t, stored, checkpoint(t, stored, 10, change...)), "\n")
	}
	for name, c := range map[string]struct {
		lines []string
		want  []string
	}{
		"nothing left":          {nil, []string{"TRUNCATED 0"}},
		"no first line":         {copied()[1:], []string{"MALFORMED_LINE 1"}},
		"a first line later":    {append(copied()[:5], append([]string{lines[0]}, lines[5:]...)...), []string{"MALFORMED_LINE 4"}},
		"another format":        {edit(1, "export/1", "export/2"), []string{"MALFORMED_LINE 0"}},
		"another organization":  {edit(1, acme.String(), other.String()), []string{"FOREIGN_ENTRY 0"}},
		"a first line of blank": {edit(1, `{"format"`, `{ "format"`), []string{"MALFORMED_LINE 0", "MALFORMED_LINE 0"}},
		"an empty line":         {append(copied()[:5], append([]string{"\n"}, lines[5:]...)...), []string{"MALFORMED_LINE 4"}},
		"a blank in a line":     {edit(5, `,"hash"`, `, "hash"`), []string{"MALFORMED_LINE 3", "SEQ_GAP 5"}},
		"a member more":         {edit(5, `,"hash"`, `,"color":1,"hash"`), []string{"MALFORMED_LINE 3", "SEQ_GAP 5"}},
		"a member twice":        {edit(5, `,"seq":4`, `,"seq":5,"seq":4`), []string{"MALFORMED_LINE 3", "SEQ_GAP 5"}},
		"a member in capitals":  {edit(5, `"seq":4`, `"SEQ":4`), []string{"MALFORMED_LINE 3", "SEQ_GAP 5"}},
		"a hash too short":      {edit(5, `"hash":"`, `"hash":"0`), []string{"MALFORMED_LINE 3", "SEQ_GAP 5"}},
		"a seq of text":         {edit(5, `"seq":4`, `"seq":"4"`), []string{"MALFORMED_LINE 3", "SEQ_GAP 5"}},
		"no base64":             {edit(5, `{"body":"`, `{"body":"*`), []string{"MALFORMED_LINE 3", "SEQ_GAP 5"}},
		"another number":        {edit(5, `"seq":4`, `"seq":99`), []string{"SEQ_GAP 99"}},
		"a newline in base64":   {edit(5, `{"body":"`, `{"body":"\n`), []string{"MALFORMED_LINE 3", "SEQ_GAP 5"}},
		"half a line":           {append(copied()[:8], lines[8][:40]), []string{"MALFORMED_LINE 7", "TRUNCATED 7"}},
		"no end":                {copied()[:22], []string{"TRUNCATED 20"}},
		"cut off with its end":  {append(copied()[:20], lines[22]), []string{"END_MISMATCH 18"}},
		"an end of other size":  {edit(23, `"size":20`, `"size":21`), []string{"END_MISMATCH 20"}},
		"an end of other head":  {edit(23, stored[19].Hash.String(), stored[18].Hash.String()), []string{"END_MISMATCH 20"}},
		"an end of other root":  {edit(23, rootOf(t, stored).String(), stored[18].Hash.String()), []string{"END_MISMATCH 20"}},
		"an end that says no":   {edit(23, `"end":true`, `"end":false`), []string{"MALFORMED_LINE 20"}},
		"an end before the end": {append(copied()[:10], append([]string{lines[22]}, lines[10:]...)...)[:13], []string{"END_MISMATCH 9", "MALFORMED_LINE 9", "MALFORMED_LINE 9"}},
		"a line behind the end": {append(copied(), lines[21]), []string{"MALFORMED_LINE 20"}},
		"a line too long": {append(copied()[:5], append([]string{`{"body":"` + strings.Repeat("A", 2*ledger.MaxBody) + "\"}\n"}, lines[5:]...)...),
			[]string{"MALFORMED_LINE 4"}},
		"a checkpoint of other size": {edit(12, `\n10\n`, `\n11\n`), []string{"CHECKPOINT_SIGNATURE 10"}},
		"no checkpoint":              {edit(12, "head", "tail"), []string{"CHECKPOINT_SIGNATURE 10"}},
		"a checkpoint too early":     {append(copied()[:8], append([]string{lines[11]}, lines[8:]...)...), []string{"TRUNCATED 7"}},
		"a checkpoint too late":      {append(copied()[:22], lines[11], lines[22]), []string{"MALFORMED_LINE 10"}},
		"a checkpoint of a line":     {edit(12, `{"checkpoint":`, `{"checkpoint": `), []string{"MALFORMED_LINE 10"}},
		"a checkpoint of others": {with(func(c *ledger.Checkpoint) { c.Origin = ledger.Origin(other) }),
			[]string{"FOREIGN_ENTRY 10"}},
		"a checkpoint of other root": {with(func(c *ledger.Checkpoint) { c.Root[3] ^= 1 }), []string{"CHECKPOINT_ROOT 10"}},
		"a checkpoint of other head": {with(func(c *ledger.Checkpoint) { c.Head[3] ^= 1 }), []string{"CHECKPOINT_HEAD 10"}},
		"a checkpoint of later":      {with(func(c *ledger.Checkpoint) { c.At = c.At.Add(time.Microsecond) }), []string{"CHECKPOINT_HEAD 10"}},
	} {
		report := verify(t, strings.Join(c.lines, ""), ledger.Expect{Organization: acme, Keys: testKeys(t)})
		require.Equal(t, c.want, found(report), "%s: %v", name, report.Faults)
	}

	// Positions are those of the file as well.
	report := verify(t, strings.Join(edit(5, `,"hash"`, `, "hash"`), ""), ledger.Expect{})
	require.Equal(t, []int{5, 6}, []int{report.Faults[0].Line, report.Faults[1].Line})

	// Without keys a forged checkpoint is held against the entries all the same.
	report = verify(t, strings.Join(edit(12, `\n10\n`, `\n11\n`), ""), ledger.Expect{})
	require.Equal(t, []string{"TRUNCATED 10"}, found(report))

	// The keys have to be those that signed.
	stranger := []ledger.Kept{{"elsewhere", checkpoint(t, stored, 20, func(c *ledger.Checkpoint) { c.Origin = "exposuregraph/else" })}, {"broken", "?"},
		{"a longer one", checkpoint(t, stored, 20, func(c *ledger.Checkpoint) { c.Origin, c.Size = ledger.Origin(other), 30 })}}
	report = verify(t, sound, ledger.Expect{Kept: stranger})
	require.Equal(t, []string{"CHECKPOINT_SIGNATURE 0", "FOREIGN_ENTRY 20", "FOREIGN_ENTRY 20"}, found(report))
	require.Contains(t, report.Faults[1].Message, "kept in elsewhere")

	// However many faults there are, so many are told.
	report = verify(t, strings.Join(edit(1, acme.String(), other.String()), ""), ledger.Expect{Limit: 5})
	require.Equal(t, []string{"FOREIGN_ENTRY 1", "FOREIGN_ENTRY 2", "FOREIGN_ENTRY 3", "FOREIGN_ENTRY 4", "FOREIGN_ENTRY 5"}, found(report))
	require.Equal(t, 16, report.More) // 15 entries and the checkpoint
	require.False(t, report.OK())
}

// TestEveryByte: no byte of an export can be another one, but for those of the
// slug, which is a word for the reader.
func TestEveryByte(t *testing.T) {
	t.Parallel()
	stored := story(t)
	text := export(t, stored, checkpoint(t, stored, len(stored)/2), checkpoint(t, stored, len(stored)))
	slug := strings.Index(text, `"slug":"acme"`) + len(`"slug":"`)
	keys := testKeys(t)
	rapid.Check(t, func(t *rapid.T) {
		at := rapid.IntRange(0, len(text)-2).Filter(func(at int) bool { return at < slug || at >= slug+4 }).Draw(t, "at")
		changed := []byte(text)
		changed[at] ^= byte(rapid.IntRange(1, 255).Draw(t, "change"))
		report, err := ledger.VerifyExport(bytes.NewReader(changed), ledger.Expect{Organization: acme, Keys: keys})
		require.NoError(t, err)
		require.False(t, report.OK(), "byte %d, %q for %q", at, changed[at], text[at])
	})
}

func TestTiles(t *testing.T) {
	t.Parallel()
	stored := chain(t, nil, entries(1, 520, "because")...)
	look := func(change func(index int64, root *ledger.Hash)) []string {
		check := ledger.NewCheck(ledger.Expect{Organization: acme})
		for i, s := range stored {
			check.Entry(s)
			if i == 300 || (i+1)%ledger.TileSize == 0 {
				index := int64(i / ledger.TileSize)
				var root ledger.Hash
				if i != 300 {
					var hashes []ledger.Hash
					for _, each := range stored[i+1-ledger.TileSize : i+1] {
						hashes = append(hashes, each.Hash)
					}
					var err error
					root, err = ledger.TileRoot(hashes)
					require.NoError(t, err)
				}
				change(index, &root)
				if i != 300 || root != (ledger.Hash{}) {
					check.Tile(index, root)
				}
			}
		}
		return found(check.End())
	}
	require.Empty(t, look(func(int64, *ledger.Hash) {}))
	require.Equal(t, []string{"TILE_MISMATCH 512"}, look(func(index int64, root *ledger.Hash) {
		if index == 1 && *root != (ledger.Hash{}) {
			root[0] ^= 1
		}
	}))
	require.Equal(t, []string{"TILE_MISMATCH 301"}, look(func(_ int64, root *ledger.Hash) {
		if *root == (ledger.Hash{}) {
			root[0] = 1
		}
	}))
}

// TestMemory: an export is read with as much memory at its end as at its
// beginning. It runs alone, so that what it measures is its own.
func TestMemory(t *testing.T) {
	read, write := io.Pipe()
	go func() {
		x, err := ledger.NewExporter(write, acme, "acme", nil)
		previous := ledger.Hash{}
		for i := 1; err == nil && i <= 6000; i++ {
			e := entries(i, i, strings.Repeat("because ", 100))[0]
			e.Seq = int64(i)
			var body []byte
			if body, err = e.Body(); err == nil {
				s := ledger.Stored{Seq: e.Seq, Previous: previous, Hash: ledger.Link(previous, body), Body: body}
				previous = s.Hash
				err = x.Entry(s)
			}
		}
		if err == nil {
			err = x.End()
		}
		write.CloseWithError(err)
	}()
	var live []uint64
	reads := 0
	probe := readerFunc(func(p []byte) (int, error) {
		if reads++; reads%20 == 0 { // each gives 64 KiB at most
			var now runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&now)
			live = append(live, now.HeapAlloc)
		}
		return read.Read(p)
	})
	report, err := ledger.VerifyExport(probe, ledger.Expect{})
	require.NoError(t, err)
	require.True(t, report.OK(), report.Faults)
	require.EqualValues(t, 6000, report.Size)
	require.Greater(t, len(live), 4)
	require.Less(t, live[len(live)-1], live[0]+1<<20, "the file has some 8 MB: %v", live)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// FuzzVerifyExport: whatever the file, a look at it ends, and one that has the
// checkpoint of the story has its entries.
func FuzzVerifyExport(f *testing.F) {
	stored := story(f)
	last := checkpoint(f, stored, len(stored))
	f.Add([]byte(export(f, stored, last)))
	f.Add([]byte(export(f, stored[1:], last)))
	f.Add([]byte(export(f, nil)))
	f.Add([]byte("{\"format\":\"exposuregraph/ledger-export/1\",\"organization\":\"" + id.Nil.String() + "\",\"slug\":\"\"}\n\n{}\n{\"end\":true"))
	f.Add([]byte(base64.StdEncoding.EncodeToString(stored[0].Body)))
	keys := testKeys(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		report, err := ledger.VerifyExport(bytes.NewReader(text), ledger.Expect{Keys: keys, Kept: []ledger.Kept{{"kept", last}}, Limit: 10})
		require.NoError(t, err)
		require.LessOrEqual(t, len(report.Faults), 10)
		if report.OK() {
			require.GreaterOrEqual(t, report.Size, int64(len(stored)))
			require.Equal(t, 1, report.Kept)
			require.Equal(t, acme, report.Organization)
		}
	})
}
