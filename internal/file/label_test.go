package file_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/exposuregraph/exposuregraph/internal/file"
)

func TestNames(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"report.txt": "report.txt", "a b (1).pdf": "a b (1).pdf", "Bericht für März.pdf": "Bericht für März.pdf", "報告.txt": "報告.txt", ".bashrc": ".bashrc",
		"../../etc/passwd": "passwd", `C:\Users\ann\x.doc`: "x.doc", `..\..\boot.ini`: "boot.ini", "/": "file", "a/": "file", "..": "file", ".": "file", "...": "file",
		"": "file", "   ": "file", "\x00": "file", "a\x00b": "ab", "a\r\nSet-Cookie: x": "aSet-Cookie: x", "evil\u202etxt.exe": "eviltxt.exe", "\u200b": "file",
		"a\xff\xfeb": "ab", "\ufeffa": "a", "a\u2028b": "ab", "x\x1b[2J": "x[2J", "%2e%2e%2fpasswd": "%2e%2e%2fpasswd",
		strings.Repeat("a", 300): strings.Repeat("a", 255), strings.Repeat("ä", 200): strings.Repeat("ä", 127),
	} {
		require.Equal(t, want, file.CleanName(given), "%q", given)
	}
	rapid.Check(t, func(t *rapid.T) {
		given := rapid.OneOf(rapid.String(), rapid.StringOf(rapid.SampledFrom([]rune("./\\ a\x00\u202e\u2066\ufffd"))), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })).Draw(t, "given")
		name := file.CleanName(given)
		require.True(t, utf8.ValidString(name) && name != "" && len(name) <= 255, "%q", name)
		require.NotContains(t, []string{".", ".."}, name)
		require.False(t, strings.ContainsAny(name, `/\`), "%q", name)
		require.False(t, strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }), "%q", name)
		require.Equal(t, name, file.CleanName(name), "it is clean already")
	})
}

func TestTypes(t *testing.T) {
	t.Parallel()
	const program, page = "a program", "a page that a browser runs"
	for content, want := range map[string][2]string{
		"some text":                    {"text/plain; charset=utf-8"},
		"a,b\n1,2\n":                   {"text/plain; charset=utf-8"},
		"MZ is how it begins":          {"text/plain; charset=utf-8"},
		"[2026-03-01] a line of a log": {"text/plain; charset=utf-8"},
		"{not json":                    {"text/plain; charset=utf-8"},
		"<not xml":                     {"text/plain; charset=utf-8"},
		`{"a": [1, 2`:                  {"application/json"},
		"\ufeff [{\"a\": 1}]":          {"application/json"},
		"{\"a\": 1}\n{\"a\": 2}\n":     {"application/json"},
		`<?xml version="1.0"?><!DOCTYPE nmaprun><nmaprun>`: {"application/xml"},
		`<?xml version="1.0" encoding="iso-8859-1"?><a/>`:  {"application/xml"},
		"<OWASPZAPReport>":                 {"application/xml"},
		"%PDF-1.7\n":                       {"application/pdf"},
		"PK\x03\x04\x14\x00":               {"application/zip"},
		"\x1f\x8b\x08\x00":                 {"application/gzip"},
		"\x89PNG\x0d\x0a\x1a\x0a\x00":      {"image/png"},
		"\xff\xd8\xff\xe0":                 {"image/jpeg"},
		"GIF89a\x01\x00":                   {"image/gif"},
		"RIFF\x00\x00\x00\x00WEBPVP8 \x00": {"image/webp"},
		"\xd4\xc3\xb2\xa1\x02\x00":         {"application/vnd.tcpdump.pcap"},
		"\x0a\x0d\x0d\x0a\x1c\x00":         {"application/x-pcapng"},
		"\x00\x01\x02":                     {"application/octet-stream"},
		"ID3\x03\x00\x00":                  {"application/octet-stream"},

		"<html>":                    {"", page},
		"  <!DOCTYPE HTML>":         {"", page},
		"<script>alert(1)</script>": {"", page},
		"<svg xmlns='http://www.w3.org/2000/svg'>":                 {"", page},
		"<?xml version='1.0'?>\n<!-- a -->\n<svg:svg onload='x'/>": {"", page},
		"<?xml version='1.0'?><html xmlns='x'>":                    {"", page},
		"<?xml version='1.0'?><xsl:stylesheet>":                    {"", page},
		"\ufeff<svg>":                                              {"", page},
		"#!/bin/sh\n":                                              {"", program},
		"\x7fELF\x02\x01\x01\x00":                                  {"", program},
		"MZ\x90\x00\x03\x00":                                       {"", program},
		"\xcf\xfa\xed\xfe\x07\x00":                                 {"", program},
		"\xca\xfe\xba\xbe\x00\x00":                                 {"", program},
		"\x00asm\x01\x00\x00\x00":                                  {"", program},
	} {
		media, refused := file.Classify([]byte(content))
		require.Equal(t, want, [2]string{media, refused}, "%q", content)
	}
	rapid.Check(t, func(t *rapid.T) { // whatever it is, there is one answer
		media, refused := file.Classify(rapid.SliceOf(rapid.Byte()).Draw(t, "content"))
		require.NotEqual(t, media == "", refused == "")
	})
}
