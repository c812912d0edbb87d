package ledger

// Baseline is the payload of an attested baseline.
type Baseline struct {
	Note string `json:"note"`
}

// Justification is the payload of a recorded justification.
type Justification struct {
	Actions  []string `json:"actions"`  // that it covers, sorted
	Replaces bool     `json:"replaces"` // whether another one ended when this began
	Text     string   `json:"text"`
}

// Pack is the payload of a sealed evidence pack.
type Pack struct {
	Digest      string `json:"digest"`      // of the document
	StateDigest string `json:"stateDigest"` // of the document without its member asOf
}
