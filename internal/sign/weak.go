package sign

import (
	"crypto/ed25519"
	"math/big"
	"slices"

	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// The field of edwards25519: the numbers below 2^255 - 19.
var fieldPrime = new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))

// smallOrders are the y of the eight points whose order divides eight. A key that is
// one of them makes signatures verify that nobody made with a private key: the
// product of the key with the hash of the text is one of eight points, whatever the
// text, and can be guessed.
var smallOrders = []*big.Int{
	big.NewInt(1), // the neutral point
	new(big.Int).Sub(fieldPrime, big.NewInt(1)), // of order 2
	big.NewInt(0),                            // of order 4: two points
	orderEight,                               // of order 8: two points
	new(big.Int).Sub(fieldPrime, orderEight), // of order 8: two points
}

var orderEight, _ = new(big.Int).SetString("2707385501144840649318225287225658788936804267575313519463743609750303402022", 10)

// CheckPublicKey refuses a key with which others than its owner could sign, and one
// in a form of which there is another: the id of a key is that of its bytes.
//
// The library that verifies takes both.
func CheckPublicKey(public ed25519.PublicKey) error {
	if len(public) != ed25519.PublicKeySize {
		return badKey("it is no public Ed25519 key")
	}
	// Little-endian, and above the 255 bits of y the sign of x.
	bytes := slices.Clone(public)
	slices.Reverse(bytes)
	bytes[0] &= 0x7f
	written := new(big.Int).SetBytes(bytes)
	y := new(big.Int).Mod(written, fieldPrime)
	if slices.ContainsFunc(smallOrders, func(small *big.Int) bool { return small.Cmp(y) == 0 }) {
		return problem.New(problem.Invalid, "KEY_WEAK",
			"the key is a point of small order: signatures of it verify that nobody made, so it proves nothing; make one with `openssl genpkey -algorithm ed25519`")
	}
	if written.Cmp(y) != 0 {
		return badKey("its number is not below 2^255 - 19, so that the same key could be written otherwise")
	}
	return nil
}
