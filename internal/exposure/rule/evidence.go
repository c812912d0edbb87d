package rule

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// JSON is the canonical form of the evidence: sorted keys, no blanks, times in
// UTC.
func (e Evidence) JSON() []byte {
	for _, at := range []**time.Time{&e.LastActiveAt, &e.BaselineAt, &e.FirstSeenAt} {
		if *at != nil {
			*at = moment(**at)
		}
	}
	// The fields are declared in the order of their keys; only the names of HTML
	// would be escaped otherwise.
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(e); err != nil {
		panic("evidence that is no JSON: " + err.Error()) // a time after the year 9999
	}
	return bytes.TrimSuffix(buffer.Bytes(), []byte("\n"))
}

// Digest identifies what the evidence says, and leaves out when and how often:
// times and counts move from day to day, and the same evidence found again is
// to be recognized as such. How completely it is known is left out as well,
// except where a rule is about that. Rules of path grain pass id.Nil: the path
// is the key of their exposure.
func (e Evidence) Digest(r Rule, subject id.ID) id.ID {
	d := id.New("evidence/1").Text(Define(r).Key)
	if subject == id.Nil {
		d.Absent()
	} else {
		d.ID(subject)
	}
	completeness := ""
	if r == OwnershipUnknown {
		completeness = e.Completeness[string(record.Ownership)]
	}
	owners := make([]string, 0, len(e.Owners))
	for _, o := range e.Owners {
		owners = append(owners, o.ID.String()+" "+o.Status+" "+o.Type)
	}
	slices.Sort(owners) // they stand by name, which is not who they are
	d.Text(completeness).Texts(owners).Texts(e.Hosts).Texts(e.RolesAdded).Texts(e.ActionsAdded).
		Texts(e.ActionsUnused).Texts(e.ActionsUsed).Text(e.Sensitivity).Text(strconv.FormatBool(e.Writes))
	if r == InternetFacing { // the digests of the others were there before it
		d.Texts(e.Assets)
	}
	return d.Short()
}

// status finds what the evidence said of an owner; "" for one it did not list.
func (e Evidence) status(owner id.ID) string {
	for _, o := range e.Owners {
		if o.ID == owner {
			return o.Status
		}
	}
	return ""
}

// The states of an owner in the evidence.
const (
	active   = "active"
	inactive = "inactive"
)

func ownerEvidence(owners []Owner) []OwnerEvidence {
	list := make([]OwnerEvidence, 0, len(owners))
	for _, o := range owners {
		evidence := OwnerEvidence{ID: o.ID, Name: o.Name, Status: inactive, Type: "individual"}
		if o.Group {
			evidence.Type = "group"
		}
		if o.Active {
			evidence.Status = active
		}
		list = append(list, evidence)
	}
	return list
}

// String is the coverage as evidence writes it.
func (c Coverage) String() string {
	switch c {
	case Complete:
		return "complete"
	case Expired:
		return "expired"
	case Incomplete:
		return "incomplete"
	}
	return "not_collected"
}

// known is the completeness of one kind of evidence.
func known(kind record.EvidenceKind, c Coverage) map[string]string {
	return map[string]string{string(kind): c.String()}
}

// moment is a time for evidence; nothing for one that is not known.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
