package rdb

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// ParseURL reads the address of a Redis: redis://host:port/db, rediss:// for TLS,
// redis-sentinel://host:port,host:port/master/db or redis-cluster://host:port,host:port.
// User and password come before an @; "?tls=true" puts TLS on the last two, and "?ca=FILE"
// names the certificates that a server's is checked against, in the place of the system's;
// "cert=FILE&key=FILE" is the certificate that the client shows, for a server that asks.
// Sentinels are given the same user and password, or with "?sentinel_auth=false" none.
func ParseURL(address string) (*redis.UniversalOptions, error) {
	o, err := parseURL(address)
	if err != nil {
		return nil, fmt.Errorf("redis url: %w", err)
	}
	o.Protocol = 2
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return o, nil
}

func parseURL(address string) (*redis.UniversalOptions, error) {
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		return nil, fmt.Errorf("%q is not redis://, rediss://, redis-sentinel:// or redis-cluster://", redact(address))
	}
	switch scheme {
	case "redis", "rediss":
		address, files := cutFiles(address)
		o, err := redis.ParseURL(address)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", redact(address), err)
		}
		if o.DB < 0 {
			return nil, fmt.Errorf("database %d is not a number from 0", o.DB)
		}
		if err := checkAddr(o.Addr); err != nil {
			return nil, err
		}
		return &redis.UniversalOptions{
			Addrs: []string{o.Addr}, DB: o.DB, Username: o.Username, Password: o.Password, TLSConfig: o.TLSConfig,
		}, files.use(o.TLSConfig)
	case "redis-sentinel", "redis-cluster":
		return parseMany(scheme, rest)
	}
	return nil, fmt.Errorf("scheme %q is not redis, rediss, redis-sentinel or redis-cluster", scheme)
}

func parseMany(scheme, rest string) (*redis.UniversalOptions, error) {
	o := &redis.UniversalOptions{IsClusterMode: scheme == "redis-cluster"}
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		u, err := url.Parse("redis://" + rest[:at] + "@host")
		if err != nil {
			return nil, fmt.Errorf("user and password cannot be read; escape special characters")
		}
		o.Username = u.User.Username()
		o.Password, _ = u.User.Password()
		rest = rest[at+1:]
	}
	rest, query, _ := strings.Cut(rest, "?")
	hosts, path, _ := strings.Cut(rest, "/")
	for host := range strings.SplitSeq(hosts, ",") {
		if host == "" {
			return nil, fmt.Errorf("a host is empty")
		}
		if err := checkAddr(host); err != nil {
			return nil, err
		}
		o.Addrs = append(o.Addrs, host)
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, fmt.Errorf("options %q cannot be read", query)
	}
	if values.Get("tls") == "true" {
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if err := filesOf(values).use(o.TLSConfig); err != nil {
		return nil, err
	}
	if o.IsClusterMode && path != "" && path != "0" {
		return nil, fmt.Errorf("database %q: a cluster has none but 0", path)
	}
	if o.IsClusterMode {
		return o, nil
	}
	master, db, _ := strings.Cut(path, "/")
	if master == "" {
		return nil, fmt.Errorf("the master's name is missing: redis-sentinel://host:port/NAME")
	}
	o.MasterName = master
	switch auth := values.Get("sentinel_auth"); auth {
	case "", "true":
		o.SentinelUsername, o.SentinelPassword = o.Username, o.Password
	case "false":
	default:
		return nil, fmt.Errorf("sentinel_auth %q is neither true nor false", auth)
	}
	if db != "" {
		if o.DB, err = strconv.Atoi(db); err != nil || o.DB < 0 {
			return nil, fmt.Errorf("database %q is not a number from 0", db)
		}
	}
	return o, nil
}

// checkAddr refuses an address that could never be dialled.
func checkAddr(addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%q is not HOST:PORT; an IPv6 address is in brackets, such as [::1]:6379", addr)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return fmt.Errorf("%q: port %q is not from 1 to 65535", addr, port)
	}
	return nil
}

// tlsFiles are the options of an address that name files; the client library knows none.
type tlsFiles struct{ ca, cert, key string }

func filesOf(v url.Values) tlsFiles { return tlsFiles{v.Get("ca"), v.Get("cert"), v.Get("key")} }

// cutFiles takes them off an address.
func cutFiles(address string) (rest string, files tlsFiles) {
	u, err := url.Parse(address)
	if err != nil {
		return address, tlsFiles{}
	}
	values := u.Query()
	if files = filesOf(values); files == (tlsFiles{}) {
		return address, files
	}
	for _, name := range []string{"ca", "cert", "key"} {
		values.Del(name)
	}
	u.RawQuery = values.Encode()
	return u.String(), files
}

// use has a server's certificate checked against those of a file, and the client's shown.
func (f tlsFiles) use(c *tls.Config) error {
	switch {
	case f == tlsFiles{}:
		return nil
	case c == nil:
		return fmt.Errorf("ca, cert and key are of no use without TLS: write rediss://, or tls=true")
	case (f.cert == "") != (f.key == ""):
		return fmt.Errorf("cert and key are of use together alone")
	}
	if f.cert != "" {
		if _, err := tls.LoadX509KeyPair(f.cert, f.key); err != nil {
			return fmt.Errorf("cert and key: %w", err)
		}
		// It is read anew for each connection: a renewed one needs no restart.
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(f.cert, f.key)
			return &pair, err
		}
	}
	if f.ca == "" {
		return nil
	}
	text, err := os.ReadFile(f.ca)
	if err != nil {
		return fmt.Errorf("ca: %w", err)
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(text) {
		return fmt.Errorf("ca: %s has no certificate in PEM", f.ca)
	}
	return nil
}

// redact hides the password of an address in errors.
func redact(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "…"
	}
	return u.Redacted()
}
