package rdb

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// ParseURL parses the address of a Redis: redis://host:port/db, rediss:// for TLS,
// redis-sentinel://host:port,host:port/master/db or redis-cluster://host:port,host:port. User and password stand before
// an @. An unknown option is an error. These options can follow a question mark:
//
//	tls=true             TLS, for the last two schemes
//	ca=FILE              certificates to check the server's certificate against, instead of the system's
//	cert=FILE&key=FILE   the client's certificate, for a server that requires one
//	skip_verify=true     TLS without a check of the server's certificate
//	db=N                 the database, for the first two schemes
//	sentinel_user=U&sentinel_password=P  for the sentinels; by default the same as for the servers
//	sentinel_auth=false  no user and password for the sentinels
//	url_file=FILE        user and password are read from the URL in a file, at each connection
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
	scheme, _, ok := strings.Cut(address, "://")
	if !ok { // nothing of it is quoted: it can be a password alone
		return nil, fmt.Errorf("it does not begin with redis://, rediss://, redis-sentinel:// or redis-cluster://")
	}
	if !slices.Contains([]string{"redis", "rediss", "redis-sentinel", "redis-cluster"}, scheme) {
		return nil, fmt.Errorf("scheme %q is not redis, rediss, redis-sentinel or redis-cluster", scheme)
	}
	if strings.Contains(address, "#") {
		return nil, fmt.Errorf("what follows a # is not read: write a # in a user or password as %%23")
	}
	base, query, _ := strings.Cut(address, "?")
	if credentials, _ := cutHost(base); strings.Contains(credentials, "/") {
		return nil, fmt.Errorf("user and password end at the first /: write a / in them as %%2F")
	}
	values, err := optionsOf(scheme, query)
	if err != nil {
		return nil, err
	}
	var o *redis.UniversalOptions
	if scheme == "redis" || scheme == "rediss" {
		o, err = parseOne(base, values)
	} else {
		o, err = parseMany(scheme, base, values)
	}
	if err != nil {
		return nil, err
	}
	if values.Get("skip_verify") == "true" && values.Has("ca") {
		return nil, fmt.Errorf("skip_verify=true contradicts ca: no certificate would be checked")
	}
	if err := filesOf(values).use(o.TLSConfig); err != nil {
		return nil, err
	}
	switch skip, given, err := truth(values, "skip_verify"); {
	case err != nil:
		return nil, err
	case given && o.TLSConfig == nil:
		return nil, fmt.Errorf("skip_verify is of no use without TLS: write rediss://, or tls=true")
	case given:
		o.TLSConfig.InsecureSkipVerify = skip
	}
	if file := values.Get("url_file"); file != "" {
		o.CredentialsProviderContext = credentialsIn(file)
		return o, nil
	}
	if o.Username != "" && o.Password == "" || o.SentinelUsername != "" && o.SentinelPassword == "" {
		return nil, fmt.Errorf("a user is sent only with a password: add it; a user with nopass takes any")
	}
	return o, nil
}

// elsewhere maps options of the client library to the settings that replace them here.
var elsewhere = map[string]string{
	"read_timeout": "redis.timeout", "write_timeout": "redis.timeout", "dial_timeout": "redis.timeout",
	"pool_timeout": "redis.timeout",
	"max_retries":  "redis.retries", "pool_size": "redis.pool_size",
}

// optionsOf parses the options of an address. Its errors name options, never their values: a value can be a password.
func optionsOf(scheme, query string) (url.Values, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, fmt.Errorf("the options after ? cannot be read; escape special characters")
	}
	known := []string{"ca", "cert", "key", "skip_verify", "url_file"}
	switch scheme {
	case "redis", "rediss":
		known = append(known, "db")
	case "redis-sentinel":
		known = append(known, "tls", "sentinel_auth", "sentinel_user", "sentinel_password")
	case "redis-cluster":
		known = append(known, "tls")
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		switch setting := elsewhere[name]; {
		case setting != "":
			return nil, fmt.Errorf("option %s is not read here: set %s", name, setting)
		case name == "password" || name == "user" || name == "username":
			return nil, fmt.Errorf("option %s is not read: user and password come before the host, as in %s://user:password@host", name, scheme)
		case name == "tls" && !slices.Contains(known, name):
			return nil, fmt.Errorf("option tls is not read: rediss:// has TLS, redis:// has none")
		case strings.Contains(name, "@"): // a password has a ? that is not escaped
			return nil, fmt.Errorf("the options after ? cannot be read; write a ? in a user or password as %%3F")
		case !slices.Contains(known, name):
			return nil, fmt.Errorf("there is no option %q; %s:// has %s", name, scheme, strings.Join(known, ", "))
		case len(values[name]) > 1:
			return nil, fmt.Errorf("option %s is given twice", name)
		}
	}
	return values, nil
}

// truth parses an option that is true or false.
func truth(values url.Values, name string) (yes, given bool, err error) {
	if !values.Has(name) {
		return false, false, nil
	}
	switch values.Get(name) {
	case "true":
		return true, true, nil
	case "false":
		return false, true, nil
	}
	return false, true, fmt.Errorf("option %s is neither true nor false", name)
}

// parseOne parses redis:// and rediss://.
func parseOne(base string, values url.Values) (*redis.UniversalOptions, error) {
	address := base
	_, rest, _ := strings.Cut(base, "://")
	_, path, _ := strings.Cut(rest, "/")
	if db := values.Get("db"); db != "" {
		if path != "" {
			return nil, fmt.Errorf("the database is given twice: /%s and db", path)
		}
		address += "?" + url.Values{"db": {db}}.Encode()
	}
	o, err := redis.ParseURL(address)
	if err != nil {
		if wrong, ok := errors.AsType[*url.Error](err); ok {
			err = wrong.Err // the wrapping error quotes the address with its password
		}
		return nil, fmt.Errorf("%q: %w", Redact(base), err)
	}
	if o.DB < 0 {
		return nil, fmt.Errorf("database %d is not a number from 0", o.DB)
	}
	if strings.Contains(o.Addr, ",") {
		return nil, fmt.Errorf("%q: several hosts are for redis-sentinel:// and redis-cluster://", o.Addr)
	}
	if err := checkAddr(o.Addr); err != nil {
		return nil, err
	}
	return &redis.UniversalOptions{
		Addrs: []string{o.Addr}, DB: o.DB, Username: o.Username, Password: o.Password, TLSConfig: o.TLSConfig,
	}, nil
}

// parseMany parses redis-sentinel:// and redis-cluster://.
func parseMany(scheme, base string, values url.Values) (*redis.UniversalOptions, error) {
	o := &redis.UniversalOptions{IsClusterMode: scheme == "redis-cluster"}
	rest := strings.TrimPrefix(base, scheme+"://")
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		u, err := url.Parse("redis://" + rest[:at] + "@host")
		if err != nil {
			return nil, fmt.Errorf("user and password cannot be read; escape special characters")
		}
		o.Username = u.User.Username()
		o.Password, _ = u.User.Password()
		rest = rest[at+1:]
	}
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
	secure, _, err := truth(values, "tls")
	if err != nil {
		return nil, err
	}
	if secure {
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
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
	if db != "" {
		if o.DB, err = strconv.Atoi(db); err != nil || o.DB < 0 {
			return nil, fmt.Errorf("database %q is not a number from 0", db)
		}
	}
	return o, sentinelUser(o, values)
}

// sentinelUser sets the user and password for the sentinels.
func sentinelUser(o *redis.UniversalOptions, values url.Values) error {
	same, given, err := truth(values, "sentinel_auth")
	own := values.Has("sentinel_user") || values.Has("sentinel_password")
	switch {
	case err != nil:
		return err
	case given && !same && own:
		return fmt.Errorf("sentinel_auth=false contradicts sentinel_user and sentinel_password")
	case own:
		o.SentinelUsername, o.SentinelPassword = values.Get("sentinel_user"), values.Get("sentinel_password")
	case !given || same:
		o.SentinelUsername, o.SentinelPassword = o.Username, o.Password
	}
	return nil
}

// credentialsIn reads user and password from the URL in a file for each connection, so a changed password needs no
// restart.
func credentialsIn(file string) func(context.Context) (user, password string, err error) {
	return func(context.Context) (user, password string, err error) {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", "", unsentError{fmt.Errorf("url_file: %w", err)}
		}
		o, err := parseURL(strings.TrimSpace(string(text)))
		if err != nil {
			return "", "", unsentError{fmt.Errorf("url_file %s: %w", file, err)}
		}
		return o.Username, o.Password, nil
	}
}

// checkAddr returns an error for an address that can never be dialled.
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

// tlsFiles holds the options of an address that name files; the client library has no such options.
type tlsFiles struct{ ca, cert, key string }

func filesOf(v url.Values) tlsFiles { return tlsFiles{v.Get("ca"), v.Get("cert"), v.Get("key")} }

// use sets the certificates that a server's is checked against and the client's own certificate.
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
		// It is read for each connection, so a renewed certificate needs no restart.
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

// cutHost cuts an address without its options behind the scheme and before the host.
func cutHost(base string) (credentials, rest string) {
	_, rest, _ = strings.Cut(base, "://")
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		return rest[:at], rest[at+1:]
	}
	return "", rest
}

// Redact hides the passwords of an address: the password before the host, and those in options.
func Redact(address string) string {
	scheme, _, ok := strings.Cut(address, "://")
	if !ok {
		return "xxxxx" // it can be a password alone
	}
	// A password with a ? or # that is not escaped ends what a parser takes for the address.
	if end := strings.IndexAny(address, "?#"); end >= 0 && !strings.Contains(address[:end], "@") {
		if at := strings.LastIndexByte(address, '@'); at >= 0 {
			address = scheme + "://xxxxx@" + address[at+1:]
		}
	}
	base, query, _ := strings.Cut(address, "?")
	credentials, shown := cutHost(base)
	if user, _, ok := strings.Cut(credentials, ":"); ok {
		shown = user + ":xxxxx@" + shown
	} else if credentials != "" {
		shown = credentials + "@" + shown
	}
	shown = scheme + "://" + shown
	if query == "" {
		return shown
	}
	parts := strings.Split(query, "&")
	for i, part := range parts {
		if name, _, _ := strings.Cut(part, "="); strings.Contains(strings.ToLower(name), "pass") {
			parts[i] = name + "=xxxxx"
		}
	}
	return shown + "?" + strings.Join(parts, "&")
}
