package operate

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPayloadRefuses(t *testing.T) {
	for _, s := range []string{"", "[]", "{", `{"a":}`, "7"} {
		_, err := payload(s)
		require.Error(t, err, s)
	}
}
