package demo

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/snapshot"
)

// What happened, in days before (so negative) the base date. A source tells of it
// with its next delivery.
const (
	begins          = -120 // the inventories are connected
	logsConnected   = -119 // and the logs
	ownersUploaded  = -118 // somebody says who answers for what
	hrActed         = -112 // the last act of the HR export
	stagingActed    = -105 // the last act of the staging identity of the pipeline
	marekLeft       = -53  // who answered for the HR export leaves
	successorMade   = -50  // the service principal of the routers gets a successor,
	rotated         = -49  // and the routers change over to it
	maintAssigned   = -45  // AzureGraphRouterNoOwner is given an owner
	reclassified    = -40  // the curated zone is no longer restricted
	tomLeft         = -34  // one of two owners of the pipeline leaves
	predecessorGone = -33  // the old service principal is deleted
	maintDisabled   = -33  // the owner of AzureGraphRouterNoOwner is switched off
	reconciled      = -6   // a new function takes over the credential of the invoices
	vaultGranted    = -5   // the pipeline may open the key vault
	bobLeft         = -4   // who answered for the invoices leaves
	revoked         = -3   // the routers may no longer change the directory
)

// The logs reach back over their retention. Of what they saw before they were
// connected, their first delivery tells the last 30 days.
const retention, firstLogged = -200, -150

// logged are the days on which each log delivers, early in the morning; what it
// delivers on day 0 comes just before the base date begins.
var logged = []struct {
	log  func(base time.Time, from, to int) Delivery
	days []int
}{
	{serviceNowLog, []int{logsConnected, -84, rotated, -42, -14, -8, 0}},
	{azureLog, []int{logsConnected, -84, rotated, -14, -8, revoked, 0}},
	{signIns, []int{logsConnected, -84, rotated, -14, 0}},
}

// judged are the days on which everything is judged anew, after the logs came.
var judged = []int{logsConnected, -84, rotated, -14, -8, 0}

// Step is one event of the history: a delivery, a decision or, without either, a
// judgement of everything, as the daily evaluation makes it.
type Step struct {
	At       time.Time
	Delivery *Delivery
	Decision *Decision
}

// Delivery is what a source says at one instant: facts, or what a scanner saw.
type Delivery struct {
	Source string
	System string
	At     time.Time
	Facts  []record.Fact
	Scan   Scan
}

// Begins is when the history up to a base date begins: with its first step.
func Begins(base time.Time) time.Time { return inventories[0].at(base) }

// BaseOf is the base date of a history that began at an instant.
func BaseOf(begun time.Time) time.Time { return Midnight(begun).AddDate(0, 0, -begins) }

// Midnight is the beginning of a day in UTC.
func Midnight(at time.Time) time.Time {
	at = at.UTC()
	return time.Date(at.Year(), at.Month(), at.Day(), 0, 0, 0, 0, time.UTC)
}

// delivered is a delivery of an inventory, or of a scanner, on a day.
type delivered struct {
	day, hour, minute int
	source            func(base time.Time, day int) Delivery
}

func (d delivered) at(base time.Time) time.Time {
	return on(Midnight(base), d.day, d.hour).Add(time.Duration(d.minute) * time.Minute)
}

// inventories are the deliveries of what is not a log, in order. At the
// beginning whoever is named comes before those who name him.
var inventories = []delivered{
	{begins, 6, 0, entra}, {begins, 6, 10, azure}, {begins, 6, 20, serviceNow},
	{ownersUploaded, 9, 30, ownerMapping},
	{portalMoves, 9, 0, serviceNow}, {portalBack, 9, 0, serviceNow},
	{successorMade, 10, 0, entra},
	{rotated, 10, 0, serviceNow},
	{maintAssigned, 14, 0, ownerMapping},
	{reclassified, 11, 0, azure},
	{predecessorGone, 10, 0, entra},
	{reconciled, 16, 0, azure},
	{vaultGranted, 15, 0, azure},
	{bobLeft, 8, 0, entra},
	{revoked, 13, 0, entra},
	{-1, 22, 0, entra}, {-1, 22, 10, azure}, {-1, 22, 20, serviceNow},
}

// History is what happened up to a base date, in order.
func History(base time.Time) []Step {
	base = Midnight(base)
	var steps []Step
	for _, d := range slices.Concat(inventories, scans) {
		steps = append(steps, deliver(d.source(base, d.day), d.at(base)))
	}
	for n, source := range logged {
		from := firstLogged
		for _, day := range source.days {
			steps = append(steps, deliver(source.log(base, from, day), dawn(base, day).Add(time.Duration(n)*time.Minute)))
			from = day
		}
	}
	for _, day := range judged {
		steps = append(steps, Step{At: dawn(base, day).Add(5 * time.Minute)})
	}
	for _, d := range decisions {
		steps = append(steps, Step{At: d.at(base), Decision: &d.Decision})
	}
	slices.SortFunc(steps, func(a, b Step) int { return a.At.Compare(b.At) })
	return steps
}

// dawn is when the logs of a day come.
func dawn(base time.Time, day int) time.Time {
	if day == 0 {
		return base.Add(-5 * time.Minute)
	}
	return on(base, day, 5)
}

func deliver(d Delivery, at time.Time) Step {
	d.At = at
	return Step{At: at, Delivery: &d}
}

// Format is the one that the delivery comes in.
func (d *Delivery) Format() string {
	if d.Scan != nil {
		return d.Scan.Format()
	}
	return "snapshot"
}

// Name is a name for the file of the delivery.
func (d *Delivery) Name() string {
	return fmt.Sprintf("%s-%s-%s.%s", d.Source, d.System, d.At.UTC().Format("20060102T1504Z"), d.Format())
}

// Content is the delivery in its format.
func (d *Delivery) Content() ([]byte, error) {
	write := d.snapshot
	if d.Scan != nil {
		write = d.Scan.write
	}
	content, err := write()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.Name(), err)
	}
	return content, nil
}

func (d *Delivery) snapshot() ([]byte, error) {
	var file bytes.Buffer
	writer := snapshot.NewWriter(&file, snapshot.Header{Source: d.Source, System: d.System, ObservedAt: d.At})
	for _, fact := range d.Facts {
		if err := writer.Write(record.Record{Fact: fact}); err != nil {
			return nil, err
		}
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	return file.Bytes(), nil
}
