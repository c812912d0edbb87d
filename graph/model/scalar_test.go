package model_test

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/graph/model"
)

// TestIntIsAWholeNumberOf32Bits: wherever it goes, and nothing in quotes is one.
func TestIntIsAWholeNumberOf32Bits(t *testing.T) {
	t.Parallel()
	for _, good := range []any{int64(12), json.Number("12"), 12} {
		n, err := model.UnmarshalInt32(good)
		require.NoError(t, err)
		require.EqualValues(t, 12, n)
		m, err := model.UnmarshalInt(good)
		require.NoError(t, err)
		require.Equal(t, 12, m)
	}
	for _, bad := range []any{"12", true, 1.5, json.Number("1.5"), int64(math.MaxInt32) + 1, json.Number("-2147483649"), json.Number("1e400")} {
		_, err := model.UnmarshalInt32(bad)
		require.Error(t, err, "%v", bad)
		_, err = model.UnmarshalInt(bad)
		require.Error(t, err, "%v", bad)
	}
}
