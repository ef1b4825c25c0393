package testkit

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// TLS lets a server speak TLS on a second port, with a certificate of its own making. It
// returns the option, the address, and the file of the certificate that clients must trust.
func TLS(t testing.TB) (option RedisOption, addr, ca string) {
	t.Helper()
	cert, key := certificate(t, time.Now().Add(time.Hour))
	option, addr = speaks(t, cert, key, "no")
	return option, addr, cert
}

// MutualTLS is [TLS] of a server that asks clients for a certificate. The one that it
// trusts is its own, with that key.
func MutualTLS(t testing.TB) (option RedisOption, addr, cert, key string) {
	t.Helper()
	cert, key = certificate(t, time.Now().Add(time.Hour))
	option, addr = speaks(t, cert, key, "yes")
	return option, addr, cert, key
}

// ExpiredTLS is [TLS] with a certificate that is no longer valid.
func ExpiredTLS(t testing.TB) (option RedisOption, addr, ca string) {
	t.Helper()
	cert, key := certificate(t, time.Now().Add(-time.Minute))
	option, addr = speaks(t, cert, key, "no")
	return option, addr, cert
}

func speaks(t testing.TB, cert, key, asks string) (option RedisOption, addr string) {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	return func(s *RedisServer) {
		s.settings = append(s.settings, [][2]string{
			{"tls-port", strconv.Itoa(port)}, {"tls-cert-file", cert}, {"tls-key-file", key},
			{"tls-ca-cert-file", cert}, {"tls-auth-clients", asks},
		}...)
	}, loopback(port)
}

// certificate makes one for 127.0.0.1 that signs itself.
func certificate(t testing.TB, until time.Time) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "testkit"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:   time.Now().Add(-time.Hour), NotAfter: until,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	signed, err := x509.CreateCertificate(rand.Reader, form, form, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pemFile(t, "CERTIFICATE", signed), pemFile(t, "PRIVATE KEY", secret)
}

func pemFile(t testing.TB, kind string, der []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
