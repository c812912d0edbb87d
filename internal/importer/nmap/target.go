package nmap

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/exposuregraph/exposuregraph/internal/importer/surface"
)

// valued are the options with one dash that take the word after them. Options
// with two dashes do if they are not in plain and have no "=".
var valued = words("p D e g S b M m i o T iL iR oN oX oG oA oS oM oH")

// plain are the options with two dashes that take no word. One that is unknown
// is held to take one: a target too few covers too little, which only keeps what
// is there.
var plain = words(`open reason traceroute osscan-guess fuzzy osscan-limit version-all version-light version-trace packet-trace
	iflist append-output resume-ok send-eth send-ip privileged unprivileged release-memory no-stylesheet webxml verbose debug system-dns
	randomize-hosts rH badsum defeat-rst-ratelimit defeat-icmp-ratelimit allports adler32 script-trace script-updatedb log-errors
	disable-arp-ping discovery-ignore-rst unique resolve-all deprecated-xml-osclass noninteractive vv ff thc`)

func words(text string) map[string]bool {
	set := map[string]bool{}
	for word := range strings.FieldsSeq(text) {
		set[word] = true
	}
	return set
}

// addTargets adds the addresses that a command line names as targets. Names are
// none: what they meant then is not what they mean now. A list scan looks at
// nobody, and who was left out by a file is not known here.
func addTargets(command string, into *surface.Ranges) {
	var targets, left surface.Ranges
	arguments := split(command)
	for i := 1; i < len(arguments); i++ {
		word := arguments[i]
		name, isOption := strings.CutPrefix(word, "-")
		if !isOption || name == "" {
			for _, r := range addresses(word) {
				targets.AddAll(r.from, r.to)
			}
			continue
		}
		long, isLong := strings.CutPrefix(name, "-")
		if !isLong {
			long = name
		}
		option, value, attached := strings.Cut(long, "=")
		takes := !attached && (isLong && !plain[option] || valued[name] || !isLong && longValued[option])
		if takes && i+1 < len(arguments) {
			i++
			value = arguments[i]
		}
		switch {
		case option == "excludefile", !isLong && name == "sL":
			return
		case option == "exclude":
			for one := range strings.SplitSeq(value, ",") {
				ranges := addresses(one)
				if len(ranges) == 0 {
					return // a name, or octets with a comma: who was left out is not known
				}
				for _, r := range ranges {
					left.AddAll(r.from, r.to)
				}
			}
		}
	}
	_ = left.Each(func(from, to netip.Addr) error { targets.Remove(from, to); return nil })
	_ = targets.Each(func(from, to netip.Addr) error { into.AddAll(from, to); return nil })
}

// longValued are options that people write with one dash too.
var longValued = words("script script-args exclude excludefile top-ports dns-servers min-rate max-rate max-retries host-timeout stylesheet datadir")

// split is the words of a command line; nmap writes quotes around one with blanks.
func split(command string) (all []string) {
	var word strings.Builder
	quoted, begun := false, false
	for i := 0; i < len(command); i++ {
		switch c := command[i]; {
		case c == '"':
			quoted, begun = !quoted, true
		case c == '\\' && quoted && i+1 < len(command):
			i++
			word.WriteByte(command[i])
		case !quoted && (c == ' ' || c == '\t' || c == '\n' || c == '\r'):
			if begun {
				all = append(all, word.String())
			}
			word.Reset()
			begun = false
		default:
			word.WriteByte(c)
			begun = true
		}
	}
	if begun {
		all = append(all, word.String())
	}
	return all
}

type span struct{ from, to netip.Addr }

// maxSpans bounds what octet ranges may mean: 1-254.1-254.1-254.1-3 is millions.
const maxSpans = 4096

// addresses are what a target means: an address, one with the length of a prefix,
// or an address of IPv4 with ranges for octets. Of anything else it is nothing.
func addresses(target string) []span {
	if address, err := netip.ParseAddr(target); err == nil {
		address = address.WithZone("").Unmap()
		return []span{{address, address}}
	}
	if prefix, err := netip.ParsePrefix(target); err == nil {
		return []span{prefixSpan(prefix)}
	}
	octets := strings.Split(target, ".")
	if len(octets) != 4 {
		return nil
	}
	var choices [4][][2]byte
	total := 1
	for i, text := range octets {
		if choices[i] = octet(text); choices[i] == nil {
			return nil
		}
		if i < 3 {
			count := 0
			for _, c := range choices[i] {
				count += int(c[1]) - int(c[0]) + 1
			}
			total *= count
		} else {
			total *= len(choices[i])
		}
		if total > maxSpans {
			return nil
		}
	}
	var all []span
	for _, a := range each(choices[0]) {
		for _, b := range each(choices[1]) {
			for _, c := range each(choices[2]) {
				for _, d := range choices[3] {
					all = append(all, span{netip.AddrFrom4([4]byte{a, b, c, d[0]}), netip.AddrFrom4([4]byte{a, b, c, d[1]})})
				}
			}
		}
	}
	return all
}

// prefixSpan is the first and the last address of a prefix.
func prefixSpan(prefix netip.Prefix) span {
	prefix = prefix.Masked()
	last := prefix.Addr().AsSlice()
	for bit := prefix.Bits(); bit < len(last)*8; bit++ {
		last[bit/8] |= 0x80 >> (bit % 8)
	}
	to, _ := netip.AddrFromSlice(last) // it is as long as it was
	return span{prefix.Addr(), to}
}

// octet reads "5", "1-9", "-9", "9-", "-", "*" and lists of these; nil if it is
// none.
func octet(text string) (ranges [][2]byte) {
	if text == "*" {
		text = "-"
	}
	for part := range strings.SplitSeq(text, ",") {
		low, high, between := strings.Cut(part, "-")
		if !between {
			high = low
		}
		if between && low == "" {
			low = "0"
		}
		if between && high == "" {
			high = "255"
		}
		first, err := strconv.ParseUint(low, 10, 8)
		if err != nil {
			return nil
		}
		last, err := strconv.ParseUint(high, 10, 8)
		if err != nil || last < first {
			return nil
		}
		ranges = append(ranges, [2]byte{byte(first), byte(last)})
	}
	return ranges
}

// each is every number in ranges.
func each(ranges [][2]byte) (all []byte) {
	for _, r := range ranges {
		for n := int(r[0]); n <= int(r[1]); n++ {
			all = append(all, byte(n))
		}
	}
	return all
}
