package persisted

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"regexp"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// The codes of refusals, in extensions.code of the error.
const (
	CodeNotFound   = "PERSISTED_QUERY_NOT_FOUND" // nobody sent the document yet, or not lately
	CodeHash       = "PERSISTED_QUERY_HASH"      // the document has another name than the request says
	CodeInvalid    = "PERSISTED_QUERY_INVALID"   // the name is none
	CodeTooLarge   = "LIMIT_PERSISTED_QUERY"     // the document is larger than what is kept
	CodeNotTrusted = "DOCUMENT_NOT_TRUSTED"      // the server runs other documents
)

func init() {
	for _, code := range []string{CodeNotFound, CodeHash, CodeInvalid, CodeTooLarge, CodeNotTrusted} {
		errcode.RegisterErrorType(code, errcode.KindProtocol)
	}
}

const (
	// MaxDocument is how many bytes a document may have that is kept or trusted.
	MaxDocument = 64 << 10

	// keptBytes bounds the texts that are kept.
	keptBytes = 16 << 20
)

// Extension is the gqlgen handler extension of this package. Use it before those that
// look at the text of the document.
type Extension struct {
	trusted *Documents
	kept    *Cache[string]
	scope   func(context.Context) string
}

var _ interface {
	graphql.HandlerExtension
	graphql.OperationParameterMutator
	graphql.OperationContextMutator
} = (*Extension)(nil)

// New makes the extension. With trusted documents it runs no others; without, what one
// caller sent is known to those of the same scope.
func New(trusted *Documents, scope func(context.Context) string) *Extension {
	size := func(key, text string) int64 { return int64(len(key) + len(text)) }
	return &Extension{trusted: trusted, kept: NewCache(keptBytes, size), scope: scope}
}

// name is the extension's in gqlgen, and the key of the id of a document to keep.
const name = "PersistedDocuments"

// ExtensionName is for gqlgen.
func (*Extension) ExtensionName() string { return name }

// Validate is for gqlgen.
func (*Extension) Validate(graphql.ExecutableSchema) error { return nil }

// MutateOperationParameters puts the document that is named into the request, or
// refuses it.
func (e *Extension) MutateOperationParameters(ctx context.Context, request *graphql.RawParams) *gqlerror.Error {
	id, named, err := idOf(request.Extensions)
	switch {
	case err != nil:
		return err
	case e.trusted != nil:
		return e.trust(request, id, named)
	case !named:
		return nil
	case request.Query == "":
		text, ok := e.kept.Get(ctx, e.key(ctx, id))
		if !ok {
			// Clients wait for these words before they send the document.
			return refuse(problem.NotFound, CodeNotFound, "PersistedQueryNotFound")
		}
		request.Query = text
		return nil
	case ID(request.Query) != id:
		return otherHash()
	case len(request.Query) > MaxDocument:
		return refuse(problem.Limit, CodeTooLarge, "a document that is kept by its hash has at most 65536 bytes: send it without the hash, or make it smaller")
	}
	// It is kept when it is known to be one.
	graphql.GetOperationContext(ctx).Stats.SetExtension(name, id)
	return nil
}

// trust lets the documents through that the server was given.
func (e *Extension) trust(request *graphql.RawParams, id string, named bool) *gqlerror.Error {
	if !named {
		id = ID(request.Query)
	}
	text, ok := e.trusted.texts[id]
	switch {
	case !ok:
		return refuse(problem.Denied, CodeNotTrusted, "this server runs only the documents that it was given, and this is none of them: have its operator add it to --trusted-documents")
	case named && request.Query != "" && request.Query != text:
		return otherHash()
	}
	request.Query = text
	return nil
}

func otherHash() *gqlerror.Error {
	return refuse(problem.Invalid, CodeHash, "the document has another SHA-256 than the request says: hash the text that is sent, byte by byte")
}

// MutateOperationContext keeps a document that was sent with its name: it is valid.
func (e *Extension) MutateOperationContext(ctx context.Context, operation *graphql.OperationContext) *gqlerror.Error {
	if id, ok := operation.Stats.GetExtension(name).(string); ok {
		e.kept.Add(ctx, e.key(ctx, id), operation.RawQuery)
	}
	return nil
}

// key is of bounded length whatever the scope says.
func (e *Extension) key(ctx context.Context, id string) string {
	scope := sha256.Sum256([]byte(e.scope(ctx)))
	return string(scope[:]) + id
}

// ID is the name of a document.
func ID(document string) string {
	sum := sha256.Sum256([]byte(document))
	return hex.EncodeToString(sum[:])
}

var idForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

// readID reads a name: 64 hexadecimal digits, after "sha256:" or not.
func readID(text string) (string, bool) {
	id := strings.ToLower(strings.TrimPrefix(text, "sha256:"))
	return id, idForm.MatchString(id)
}

// idOf is the name that a request gives.
func idOf(extensions map[string]any) (id string, named bool, err *gqlerror.Error) {
	for _, given := range []any{extensions[documentID], hashOf(extensions["persistedQuery"])} {
		if given == nil {
			continue
		}
		text, isText := given.(string)
		read, ok := readID(text)
		switch {
		case !isText || !ok:
			return "", false, refuse(problem.Invalid, CodeInvalid,
				"a document is named by its SHA-256 in 64 hexadecimal digits: give documentId, or extensions.persistedQuery with version 1 and sha256Hash")
		case named && read != id:
			return "", false, refuse(problem.Invalid, CodeInvalid, "documentId and extensions.persistedQuery name two documents: give one of them")
		}
		id, named = read, true
	}
	return id, named, nil
}

// hashOf is the hash of extensions.persistedQuery, and nil without one. What is none
// of the known version stays what it is, which is no text.
func hashOf(given any) any {
	if given == nil {
		return nil
	}
	members, ok := given.(map[string]any)
	if !ok {
		return members
	}
	version, isNumber := members["version"].(json.Number)
	hash, isText := members["sha256Hash"].(string)
	if members["version"] != nil && (!isNumber || version != "1") || !isText {
		return members
	}
	return hash
}

func refuse(kind problem.Kind, code, message string) *gqlerror.Error {
	err := gqlerror.Errorf("%s", message)
	err.Extensions = map[string]any{"code": code, "kind": string(kind)}
	return err
}
