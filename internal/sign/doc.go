// Package sign reads, checks and writes signatures of people over what they
// decide: DSSE envelopes (https://github.com/secure-systems-lab/dsse) with
// Ed25519 keys. The keys are files of the people; the product keeps public ones
// only.
package sign
