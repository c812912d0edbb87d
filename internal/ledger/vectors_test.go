package ledger_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/canonical"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/ledger"
	"github.com/exposuregraph/exposuregraph/internal/sign"
)

var update = flag.Bool("update", false, "write the golden vectors anew")

// story is a ledger with an entry of every kind.
func story(tb testing.TB) []ledger.Stored {
	tb.Helper()
	identity, workload := id.New("test/1").Text("an identity").Short(), id.New("test/1").Text("a workload").Short()
	key := testKey(tb)
	keyID := sign.KeyID(key.Public().(ed25519.PublicKey))
	at := func(minutes int) time.Time {
		return start.Add(time.Duration(minutes)*time.Minute + 250*time.Microsecond)
	}
	entry := func(kind ledger.Kind, minutes int, subject ledger.Subject, payload string, actors ...string) *ledger.Entry {
		e := &ledger.Entry{Organization: acme, Kind: kind, OccurredAt: at(minutes), RecordedAt: at(minutes).Add(3 * time.Second),
			Subject: subject, Payload: json.RawMessage(payload)}
		for _, actor := range actors {
			e.Actors = append(e.Actors, ledger.Actor{Subject: actor})
		}
		return e
	}
	imported := func(e *ledger.Entry) *ledger.Entry {
		e.Imported, e.RecordedAt = true, at(0)
		return e
	}
	exposed := ledger.Subject{Kind: ledger.SubjectExposure, Path: &path, Type: "orphaned_path", Ordinal: 1}
	route := ledger.Subject{Kind: ledger.SubjectPath, ID: &path}
	signingKey := ledger.Subject{Kind: ledger.SubjectKey, Name: keyID}
	whole := ledger.Subject{Kind: ledger.SubjectOrganization}

	acknowledged := entry(ledger.Acknowledged, 20, exposed,
		`{"expectedVersion":1,"version":2,"from":"open","to":"acknowledged","justification":"The owner is on leave until Monday.","evidenceDigest":"0d7044e9-85bf-746c-e3c1-89fb46d15a00","idempotencyKey":"k-1"}`, "ada@example.com")
	acknowledged.Class = 3
	statement, err := canonical.Transform([]byte(`{"action":"acknowledge","exposure":{"path":"` + path.String() + `","type":"orphaned_path","ordinal":1},"expectedVersion":1,` +
		`"justification":"The owner is on leave until Monday.","organization":"` + acme.String() + `","idempotencyKey":"k-1"}`))
	require.NoError(tb, err)
	signed, err := sign.Sign(sign.DecisionType, statement, key)
	require.NoError(tb, err)
	acknowledged.Envelope, err = signed.JSON()
	require.NoError(tb, err)

	unacknowledged := entry(ledger.Unacknowledged, 21, exposed, `{"expectedVersion":2,"version":3,"from":"acknowledged","to":"open","justification":"Undone","compensates":6,"evidenceDigest":"0d7044e9-85bf-746c-e3c1-89fb46d15a00","idempotencyKey":"k-2"}`, "ada@example.com")
	unacknowledged.Class, unacknowledged.Batch = 3, &batch
	resolved := entry(ledger.Resolved, 24, exposed, `{"expectedVersion":5,"version":5,"from":"open","to":"resolved","justification":"Gone since this morning; the next sync will say so.","evidenceDigest":"0d7044e9-85bf-746c-e3c1-89fb46d15a00","idempotencyKey":"k-5"}`,
		"ada@example.com", "service:runbook")
	resolved.Class = 1<<31 - 1
	return chain(tb, nil,
		imported(entry(ledger.BaselineAttested, -300, ledger.Subject{Kind: ledger.SubjectIdentity, ID: &identity}, `{"note":"Reviewed “as is” – line one\nline two"}`, "carol@example.com")),
		imported(entry(ledger.JustificationRecorded, -200, route, `{"text":"Quarterly export","actions":["read","write"],"replaces":false}`, "carol@example.com")),
		imported(entry(ledger.JustificationWithdrawn, -100, route, `{}`, "dan@example.com")),
		entry(ledger.PostureSnapshotted, 10, whole, `{"sync_id":"`+batch.String()+`","paths":42,"most":"9223372036854775807","least":"-9007199254740992","clusters":{"orphaned-sensitive":7,"llm-egress":1}}`, "system"),
		entry(ledger.SigningKeyRegistered, 11, signingKey, `{"publicKey":"`+base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey))+`","subject":"ada@example.com"}`, "ada@example.com"),
		acknowledged,
		unacknowledged,
		entry(ledger.MarkedFalsePositive, 22, exposed, `{"expectedVersion":3,"version":4,"from":"open","to":"false_positive","reason":"wrong_data","justification":"Größe ☃ 👩‍🚀 \u2028\u007f\u0001\b\t\f\r \"\\\/ <b>&amp;</b> \ud83d\ude00 e\u0301 \ufffd","evidenceDigest":"0d7044e9-85bf-746c-e3c1-89fb46d15a00","idempotencyKey":"Ключ-\ud834\udd1e"}`, "José Ñandú 😀"),
		entry(ledger.UnmarkedFalsePositive, 22, exposed, `{"expectedVersion":4,"version":5,"from":"false_positive","to":"open","justification":"It has another owner now.","evidenceDigest":"0d7044e9-85bf-746c-e3c1-89fb46d15a00","idempotencyKey":"k-4"}`, "ada@example.com"),
		resolved,
		entry(ledger.EvidencePackSealed, 25, ledger.Subject{Kind: ledger.SubjectWorkload, ID: &workload}, `{"digest":"sha256:`+strings.Repeat("ab", 32)+`","stateDigest":"sha256:`+strings.Repeat("cd", 32)+`"}`, "ada@example.com"),
		entry(ledger.SigningKeyRevoked, 26, signingKey, `{"subject":"ada@example.com"}`, "dan@example.com"),
	)
}

// vectors are what another implementation is held against.
type vectors struct {
	About     string            `json:"about"`
	Key       keyVector         `json:"key"`
	Canonical []canonicalVector `json:"canonical"`
	Entries   []entryVector     `json:"entries"`
	Tree      treeVector        `json:"tree"`
	Notes     []noteVector      `json:"checkpoints"`
}

type keyVector struct {
	Name     string `json:"name"`
	Seed     string `json:"seed"`
	Public   string `json:"public"`
	Verifier string `json:"verifier"`
	ID       string `json:"id"`
}

type canonicalVector struct {
	JSON string `json:"json"`
	Form string `json:"form"` // empty: none
}

type entryVector struct {
	Entry    json.RawMessage `json:"entry"`
	Body     string          `json:"body"`
	Previous ledger.Hash     `json:"previous"`
	Hash     ledger.Hash     `json:"hash"`
}

type treeVector struct {
	Leaves      string              `json:"leaves"`
	Roots       []rootVector        `json:"roots"`
	Tiles       []tileVector        `json:"tiles"`
	Inclusion   []inclusionVector   `json:"inclusion"`
	Consistency []consistencyVector `json:"consistency"`
}

type rootVector struct {
	Size int64       `json:"size"`
	Root ledger.Hash `json:"root"`
}

type tileVector struct {
	Index int64       `json:"index"`
	Root  ledger.Hash `json:"root"`
}

type inclusionVector struct {
	Seq   int64         `json:"seq"`
	Size  int64         `json:"size"`
	Proof []ledger.Hash `json:"proof"`
}

type consistencyVector struct {
	First  int64         `json:"first"`
	Second int64         `json:"second"`
	Proof  []ledger.Hash `json:"proof"`
}

type noteVector struct {
	Size int64       `json:"size"`
	Root ledger.Hash `json:"root"`
	Head ledger.Hash `json:"head"`
	At   string      `json:"at"`
	Note string      `json:"note"`
}

func makeVectors(t *testing.T) (v vectors, export []byte) {
	t.Helper()
	v.About = "Golden vectors of docs/formats/ledger.md. The private key is the first test key of RFC 8032: trust nothing that it signed."
	public := testKey(t).Public().(ed25519.PublicKey)
	verifier, err := ledger.VerifierKey(testSigner, public)
	require.NoError(t, err)
	v.Key = keyVector{testSigner, testSeed, hex.EncodeToString(public), verifier, sign.KeyID(public)}

	for _, plain := range []string{
		` { "c" : null , "a" : true , "b" : [ false , { } , [ ] , "" ] } `,
		`[0, -1, 9007199254740991, -9007199254740991, "9007199254740992"]`,
		`"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/"`,
		`{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One","\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}`,
		`"\u0001\b\t\n\u000b\f\r\u001f \u007f\u0080\u2028\u2029 <a href='x'>&amp;"`,
		`9007199254740992`, `1.5`, `-0`, `"\ud800"`,
	} {
		form, err := canonical.Transform([]byte(plain))
		if err != nil {
			form = nil
		}
		v.Canonical = append(v.Canonical, canonicalVector{plain, string(form)})
	}

	stored := story(t)
	beyond := judged()
	beyond.Seq = 1<<53 + 1
	body, err := beyond.Body()
	require.NoError(t, err)
	lone := ledger.Stored{Seq: beyond.Seq, Previous: ledger.Hash{0xff}, Body: body, Hash: ledger.Link(ledger.Hash{0xff}, body)}
	for _, s := range append(append([]ledger.Stored{}, stored...), lone) {
		v.Entries = append(v.Entries, entryVector{json.RawMessage(s.Body), base64.StdEncoding.EncodeToString(s.Body), s.Previous, s.Hash})
	}

	f := grow(600)
	v.Tree.Leaves = "the hash of entry n is the SHA-256 of the decimal digits of n"
	for _, size := range []int64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 255, 256, 257, 300, 600} {
		root, err := ledger.Root(t.Context(), f, size)
		require.NoError(t, err)
		v.Tree.Roots = append(v.Tree.Roots, rootVector{size, root})
	}
	tiles, err := f.Tiles(t.Context(), 0, 2)
	require.NoError(t, err)
	for i, root := range tiles {
		v.Tree.Tiles = append(v.Tree.Tiles, tileVector{int64(i), root})
	}
	for _, c := range [][2]int64{{1, 1}, {1, 2}, {2, 3}, {3, 3}, {4, 7}, {7, 7}, {1, 10}, {9, 10}, {10, 10}, {1, 300}, {256, 300}, {257, 300}, {300, 300}, {1, 600}, {300, 600}, {512, 600}, {600, 600}} {
		proof, err := ledger.Inclusion(t.Context(), f, c[0], c[1])
		require.NoError(t, err)
		v.Tree.Inclusion = append(v.Tree.Inclusion, inclusionVector{c[0], c[1], proof})
	}
	for _, c := range [][2]int64{{1, 1}, {1, 2}, {2, 3}, {3, 7}, {4, 7}, {6, 7}, {7, 10}, {8, 10}, {10, 10}, {10, 300}, {255, 300}, {256, 300}, {257, 300}, {299, 300}, {300, 300}, {256, 600}, {300, 600}, {512, 600}} {
		proof, err := ledger.Consistency(t.Context(), f, c[0], c[1])
		require.NoError(t, err)
		v.Tree.Consistency = append(v.Tree.Consistency, consistencyVector{c[0], c[1], proof})
	}

	var notes []string
	for _, size := range []int{7, len(stored)} {
		text := checkpoint(t, stored, size)
		c, err := ledger.ReadCheckpoint(text)
		require.NoError(t, err)
		at := strings.TrimPrefix(strings.Split(c.Text(), "\n")[4], "at ")
		v.Notes = append(v.Notes, noteVector{c.Size, c.Root, c.Head, at, text})
		notes = append(notes, text)
	}
	var out bytes.Buffer
	x, err := ledger.NewExporter(&out, acme, "acme", notes)
	require.NoError(t, err)
	for _, s := range stored {
		require.NoError(t, x.Entry(s))
	}
	require.NoError(t, x.End())
	return v, out.Bytes()
}

// TestVectors: the vectors in testdata are what this implementation gives, byte
// for byte.
func TestVectors(t *testing.T) {
	t.Parallel()
	v, export := makeVectors(t)
	var form bytes.Buffer
	encoder := json.NewEncoder(&form)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	require.NoError(t, encoder.Encode(v))
	for name, got := range map[string][]byte{"vectors.json": form.Bytes(), "export.ndjson": export} {
		name = filepath.Join("testdata", name)
		if *update {
			require.NoError(t, os.WriteFile(name, got, 0o644))
		}
		want, err := os.ReadFile(name)
		require.NoError(t, err)
		require.Equal(t, string(want), string(got), name)
	}

	// The page shows one of them.
	page, err := os.ReadFile("../../docs/formats/ledger.md")
	require.NoError(t, err)
	require.Contains(t, string(page), "```\n"+v.Notes[0].Note+"```\n")

	kinds := map[ledger.Kind]bool{}
	for _, each := range v.Entries {
		body, err := base64.StdEncoding.DecodeString(each.Body)
		require.NoError(t, err)
		e, err := ledger.Parse(body)
		require.NoError(t, err)
		kinds[e.Kind] = true
		if e.Envelope != nil {
			envelope, err := sign.Parse(e.Envelope)
			require.NoError(t, err)
			_, _, err = sign.Verify(envelope, map[string]ed25519.PublicKey{v.Key.ID: testKey(t).Public().(ed25519.PublicKey)})
			require.NoError(t, err)
		}
	}
	require.Len(t, kinds, len(ledger.Kinds()))
	report, err := ledger.VerifyExport(bytes.NewReader(export), ledger.Expect{Organization: acme, Keys: testKeys(t)})
	require.NoError(t, err)
	require.True(t, report.OK(), report.Faults)
	require.Equal(t, 2, report.Checkpoints)
}

// TestAnotherLanguage: a program that shares nothing with this one but
// docs/formats/ledger.md finds the vectors right, and changed ones wrong.
func TestAnotherLanguage(t *testing.T) {
	t.Parallel()
	run := func(vectors, export string) (string, error) {
		out, err := exec.CommandContext(t.Context(), "node", "testdata/verify.mjs", vectors, export).CombinedOutput()
		return string(out), err
	}
	out, err := run("testdata/vectors.json", "testdata/export.ndjson")
	require.NoError(t, err, out)

	for name, change := range map[string]struct{ file, old, new string }{
		"an entry":      {"vectors.json", `"note": "Reviewed`, `"note": "reviewed`},
		"a form":        {"vectors.json", `"form": "{\"a\":true`, `"form": "{ \"a\":true`},
		"a checkpoint":  {"vectors.json", `\n7\n`, `\n8\n`},
		"a signature":   {"export.ndjson", `— exposuregraph-test `, `— exposuregraph-test A`},
		"a line":        {"export.ndjson", `{"body":"`, `{"body":"A`},
		"an end":        {"export.ndjson", `"size":12`, `"size":13`},
		"another party": {"export.ndjson", acme.String(), other.String()},
	} {
		files := map[string]string{}
		for _, file := range []string{"vectors.json", "export.ndjson"} {
			content, err := os.ReadFile(filepath.Join("testdata", file))
			require.NoError(t, err)
			text := string(content)
			if file == change.file {
				require.Contains(t, text, change.old, name)
				text = strings.Replace(text, change.old, change.new, 1)
			}
			files[file] = filepath.Join(t.TempDir(), file)
			require.NoError(t, os.WriteFile(files[file], []byte(text), 0o644))
		}
		out, err := run(files["vectors.json"], files["export.ndjson"])
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit, "%s: %s", name, out)
		require.Contains(t, out, "wrong: ", name)
	}
}
