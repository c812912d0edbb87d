// Package accounttest helps tests with service accounts.
package accounttest

import (
	"sync"

	"github.com/exposuregraph/exposuregraph/internal/access/account"
)

// HashOf gives the hash of a secret. Making it takes a while, so that tests share it.
func HashOf(secret string) func() string {
	return sync.OnceValue(func() string {
		hash, err := account.Hash(secret)
		if err != nil {
			panic(err)
		}
		return hash
	})
}
