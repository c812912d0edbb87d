package surface

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEndpoint(t *testing.T) {
	t.Parallel()
	for text, expected := range map[string]struct {
		place string
		port  int
	}{
		"shop.example.com":        {"shop.example.com", 0},
		"Shop.Example.COM.":       {"shop.example.com", 0},
		"shop.example.com:8443":   {"shop.example.com", 8443},
		"*.Example.com":           {"*.example.com", 0},
		"*.example.com:443":       {"*.example.com", 443},
		"203.0.113.7":             {"203.0.113.7", 0},
		"203.0.113.7:8443":        {"203.0.113.7", 8443},
		"2001:DB8::1":             {"2001:db8::1", 0},
		"[2001:db8::1]":           {"2001:db8::1", 0},
		"[2001:db8:0:0::1]:65535": {"2001:db8::1", 65535},
		"intranet":                {"intranet", 0},
	} {
		place, port, err := EndpointAt(text)
		require.NoError(t, err, text)
		require.Equal(t, expected.place, place, text)
		require.Equal(t, expected.port, port, text)
	}
	for text, expected := range map[string]*Fault{
		"": ErrName, "*": ErrName, "*.": ErrName, "a.*.com": ErrName, "*.*.com": ErrWildcard, "https://shop.example.com": ErrPort,
		"shop.example.com/": ErrName, "203.0.113.999": ErrName, "shop.example.com:0": ErrPort, "shop.example.com:70000": ErrPort,
		"shop.example.com:http": ErrPort, "shop.example.com:": ErrPort, "[shop]": ErrAddress, "a\x00b": ErrText, "*.203.0.113.7": ErrName,
	} {
		_, _, err := EndpointAt(text)
		require.ErrorIs(t, err, expected, text)
	}
}
