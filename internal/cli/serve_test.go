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

func TestIntrospectionIsForSomebody(t *testing.T) {
	t.Parallel()
	for name, w := range map[string]struct {
		world
		args []string
	}{
		"flag":        {world{}, []string{"serve", "--introspection", "everybody"}},
		"environment": {world{env: map[string]string{"EXPOSUREGRAPH_INTROSPECTION": "everybody"}}, []string{"serve"}},
	} {
		code, _, stderr := w.run(t.Context(), w.args...)
		require.Equal(t, 2, code, name)
		require.Contains(t, stderr, `"everybody"`, name)
		require.Contains(t, stderr, "authenticated, admin or nobody", name)
	}
}
