package mysql

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The certificate is checked against the host of the URL, whatever asks for TLS.
func TestMySQLChecksTheHostOfTheURL(t *testing.T) {
	t.Parallel()
	c, err := mysqlConfig("mysql://u:p@db.example:3306/shop?tls=true")
	require.NoError(t, err)
	require.Equal(t, "db.example", c.TLS.ServerName)
	c, err = mysqlConfig("mysql://u:p@db.example/shop?tls=skip-verify")
	require.NoError(t, err)
	require.True(t, c.TLS.InsecureSkipVerify)
	c, err = mysqlConfig("mysql://u:p@db.example/shop")
	require.NoError(t, err)
	require.Nil(t, c.TLS)
}
