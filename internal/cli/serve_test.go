package cli_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDemoDate(t *testing.T) {
	t.Parallel()
	for name, run := range map[string]func() (int, string, string){
		"flag": func() (int, string, string) {
			return world{}.run(t.Context(), "serve", "--demo", "--demo-date", "1 March")
		},
		"environment": func() (int, string, string) {
			return world{env: map[string]string{"EXPOSUREGRAPH_DEMO_DATE": "1 March"}}.run(t.Context(), "serve", "--demo")
		},
	} {
		code, stdout, stderr := run()
		require.Equal(t, 2, code, name)
		require.Empty(t, stdout, name)
		require.Contains(t, stderr, `"1 March" is no day`, name)
	}
}
