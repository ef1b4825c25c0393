package cache_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	kept "github.com/afterwrite/afterwrite/cache/values"
	"github.com/afterwrite/afterwrite/internal/inspect"
	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/internal/testkit/whole"
	"github.com/afterwrite/afterwrite/schema"
)

// on is a bundle on a Redis of the test's own.
func on(t *testing.T, address string) *bundle {
	t.Helper()
	b := &bundle{whole.Bundle{Table: &whole.Table{Rows: map[string]schema.Values{}}}}
	b.E = &schema.Entity{Name: "user", ID: schema.ID{Max: 64}, Partitions: 2, Fields: []schema.Field{
		{Name: "name", Type: schema.String}, {Name: "age", Type: schema.Int}, {Name: "count", Type: schema.Int},
	}}
	require.NoError(t, b.E.Init())
	c, err := cache.New(cache.Config{URL: address, Loader: b.Table, Timeout: time.Second, Log: testkit.Logger(t)})
	require.NoError(t, err)
	b.Redis = whole.Of(c)
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// everything does what the product does on a Redis: records, events, values, tags, L1.
func (b *bundle) everything(t *testing.T) {
	t.Helper()
	sub, err := b.Subscribe(t.Context(), b.E)
	require.NoError(t, err)
	defer sub.Close()
	b.Put(t, "a", "Ann")
	assert.Equal(t, schema.Pending, b.Got(t, "a").Status)
	b.Flush(t)
	assert.Equal(t, schema.Persisted, b.Got(t, "a").Status)
	testkit.Eventually(t, "the event has come", func() bool {
		select {
		case events := <-sub.C():
			return events[0].Type == "persisted"
		default:
			return false
		}
	})
	n, err := b.InvalidateMatch(t.Context(), b.E, "*", nil)
	require.NoError(t, err)
	assert.Positive(t, n)
	assert.Equal(t, cache.Filled, b.Got(t, "a").Source)

	v := group(t, b, kept.Policy{Group: "s", L1: inProcess,
		Tags: []kept.Tag{kept.NamedTag("x"), kept.EntityTag(b.E)}})
	s := &source{text: "1"}
	testkit.Eventually(t, "the L1 answers", func() bool {
		a, err := v.Read(t.Context(), "k", s.load)
		require.NoError(t, err)
		return a.Source == kept.Local && a.Value == "1"
	})
	s.text = "2"
	require.NoError(t, kept.InvalidateTags(t.Context(), b, kept.NamedTag("x")))
	got, err := v.Load(t.Context(), "k", s.load)
	require.NoError(t, err)
	assert.Equal(t, "2", got)
	s.text = "3"
	_, err = v.InvalidateMatch(t.Context(), "k*", nil)
	require.NoError(t, err)
	got, err = v.Load(t.Context(), "k", s.load)
	require.NoError(t, err)
	assert.Equal(t, "3", got)
	b.Total(t)
}

func TestRedisWithTLSAndACL(t *testing.T) {
	t.Parallel()
	option, addr, ca := testkit.TLS(t)
	server := testkit.Redis(t, option)
	require.NoError(t, server.Client(t).Do(t.Context(), "ACL", "SETUSER", "app", "on", ">se/cret", "~aw:*", "&aw:*",
		"+@all", "-@dangerous", "+info", "+config|get").Err())
	u := url.URL{Scheme: "rediss", User: url.UserPassword("app", "se/cret"), Host: addr, Path: "/0", RawQuery: "ca=" +
		url.QueryEscape(ca)}
	b := on(t, u.String())
	h, err := b.Check(t.Context())
	require.NoError(t, err)
	assert.True(t, h.Told)
	b.everything(t)

	for what, change := range map[string]func(u *url.URL){
		"another password":                  func(u *url.URL) { u.User = url.UserPassword("app", "wrong") },
		"a certificate that nobody vouches": func(u *url.URL) { u.RawQuery = "" },
		"no TLS":                            func(u *url.URL) { u.Scheme, u.RawQuery = "redis", "" },
	} {
		other := u
		change(&other)
		c, err := cache.New(cache.Config{URL: other.String(), Timeout: time.Second, Log: testkit.Logger(t)})
		require.NoError(t, err)
		err = c.Ping(t.Context())
		require.ErrorIs(t, err, schema.ErrUnavailable, what)
		require.NotContains(t, err.Error(), "cret", what)
		require.NoError(t, c.Close())
	}
	for _, bad := range []string{"redis://h?ca=" + ca, "rediss://h?ca=/nowhere", "redis-cluster://h:1?ca=" + ca,
		"rediss://h?cert=" + ca, "rediss://h?cert=" + ca + "&key=/nowhere", "redis://h?key=" + ca} {
		_, err := rdb.ParseURL(bad)
		require.ErrorContains(t, err, "redis url: c")
	}
	o, err := rdb.ParseURL("redis-sentinel://h:1/m?tls=true&ca=" + ca)
	require.NoError(t, err)
	assert.NotNil(t, o.TLSConfig.RootCAs)
}

// A Redis asks for a client's certificate unless it was told not to.
func TestRedisThatAsksForACertificate(t *testing.T) {
	t.Parallel()
	option, addr, cert, key := testkit.MutualTLS(t)
	testkit.Redis(t, option)
	b := on(t, "rediss://"+addr+"?ca="+cert)
	// TLS 1.3: its reason may be lost with the connection
	require.ErrorIs(t, b.Ping(t.Context()), schema.ErrUnavailable)
	b = on(t, "rediss://"+addr+"?ca="+cert+"&cert="+cert+"&key="+key)
	b.everything(t)
	o, err := rdb.ParseURL("redis-cluster://h:1?tls=true&ca=" + cert + "&cert=" + cert + "&key=" + key)
	require.NoError(t, err)
	shown, err := o.TLSConfig.GetClientCertificate(nil)
	require.NoError(t, err)
	assert.NotEmpty(t, shown.Certificate)
}

// A user who lacks a command that comes after the first write of a script would leave
// writes applied by halves: what is lacking is told before there is one.
func TestI1AUserWithoutARightIsFound(t *testing.T) {
	t.Parallel()
	server := testkit.Redis(t)
	admin := server.Client(t)
	u := strings.Replace(server.URL(), "redis://", "redis://app:pw@", 1)
	check := func(rules ...any) error {
		t.Helper()
		all := []any{"ACL", "SETUSER", "app", "reset", "on", ">pw", "~aw:*", "&aw:*", "+@all"}
		require.NoError(t, admin.Do(t.Context(), append(all, rules...)...).Err())
		b := on(t, u)
		_, err := b.Check(t.Context())
		return err
	}
	require.NoError(t, check("-@admin"))
	for _, command := range []string{"zadd", "hset", "hincrby", "xadd", "publish", "persist", "zrem", "sadd",
		"pexpire"} {
		err := check("-" + command)
		require.ErrorIs(t, err, rdb.ErrRights)
		require.ErrorContains(t, err, ": +"+command+" on aw:*")
		assert.True(t, inspect.Unsafe(err))
	}
	require.ErrorContains(t, check("resetchannels"), "+publish")
	require.ErrorIs(t, check("resetkeys", "~other:*"), rdb.ErrRights)
	require.ErrorIs(t, check("-evalsha"), rdb.ErrRights)
}

// TestServerlessRedis runs as a user to whom the commands are refused that hosted servers
// refuse, INFO among them or not.
func TestServerlessRedis(t *testing.T) {
	for _, tt := range []struct {
		name, rules string
		told        bool
	}{
		{"with INFO", "+info", true},
		{"without INFO", "-info", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := testkit.Redis(t)
			rules := []any{"ACL", "SETUSER", "app", "on", ">secret", "~*", "&*", "+@all", "-@admin", "-@dangerous",
				"-memory", "-client", "-config", "-slowlog", "-cluster", "-hello", tt.rules}
			require.NoError(t, server.Client(t).Do(t.Context(), rules...).Err())
			b := on(t, strings.Replace(server.URL(), "redis://", "redis://app:secret@", 1))
			h, err := b.Check(t.Context())
			require.NoError(t, err)
			assert.Equal(t, tt.told, h.Told)
			if tt.told {
				assert.Empty(t, h.Warnings)
				assert.Equal(t, "aof", h.Persistence(), "when it is synced is not told")
			} else {
				require.Len(t, h.Warnings, 1)
				assert.Contains(t, h.Warnings[0].Text, "INFO")
			}
			b.everything(t)
			u, err := b.Big(t.Context(), 1000, 5)
			require.NoError(t, err)
			assert.True(t, u.Estimate)
			assert.NotEmpty(t, u.Largest)
			slow, allowed, err := b.SlowCommands(t.Context(), 5)
			require.NoError(t, err)
			assert.False(t, allowed)
			assert.Empty(t, slow)
		})
	}
}

// TestSentinelFailover writes while the master changes, by an operator's order and by
// its death: every write ends with an answer, none is said to be accepted that is not
// there, and all is well again without anybody's help.
func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	s := testkit.RedisSentinel(t)
	b := on(t, s.URL())
	b.everything(t)
	for how, change := range map[string]func(master *testkit.RedisServer){
		"ordered": func(*testkit.RedisServer) {
			testkit.Eventually(t, "the failover begins", func() bool { return s.Failover(t.Context()) == nil })
		},
		"killed": func(master *testkit.RedisServer) { master.Kill() },
	} {
		old, err := s.Master(t.Context())
		require.NoError(t, err)
		master := s.Nodes[0]
		if s.Nodes[1].Addr() == old {
			master = s.Nodes[1]
		}
		stop := b.keepWriting(t, how)
		change(master)
		testkit.Eventually(t, "another is master", func() bool {
			now, err := s.Master(t.Context())
			return err == nil && now != old
		})
		testkit.Eventually(t, "writes are accepted, and read", func() bool {
			got, _ := b.Send(t, cache.Write{Op: cache.OpPut, ID: how, Values: whole.Row("Bob", "1", "1")})
			if got.Err != nil {
				return false
			}
			read, err := b.Get(t.Context(), b.E, how)
			return err == nil && read.Version == got.Version && read.Source == cache.Hit
		})
		stop()
		if how == "ordered" { // the old master comes back as a replica
			testkit.Eventually(t, "it follows", func() bool {
				info := master.Client(t).Info(t.Context(), "replication").Val()
				return strings.Contains(info, "role:slave") && strings.Contains(info, "master_link_status:up")
			})
		}
		if how == "killed" {
			master.Start()
			testkit.Eventually(t, "it follows", func() bool {
				info := master.Client(t).Info(t.Context(), "replication").Val()
				return strings.Contains(info, "role:slave") && strings.Contains(info, "master_link_status:up")
			})
		}
	}
	b.everything(t)
}

// Sentinels often know no users, though Redis does.
func TestSentinelsWithoutTheUserOfRedis(t *testing.T) {
	t.Parallel()
	s := testkit.RedisSentinel(t)
	for _, node := range s.Nodes {
		require.NoError(t, node.Client(t).Do(t.Context(), "ACL", "SETUSER", "app", "on", ">pw", "~*", "&*",
			"+@all").Err())
	}
	u := strings.Replace(s.URL(), "://", "://app:pw@", 1)
	require.ErrorContains(t, on(t, u).Ping(t.Context()), "WRONGPASS")
	on(t, u+"?sentinel_auth=false").everything(t)
	_, err := rdb.ParseURL(u + "?sentinel_auth=no")
	require.ErrorContains(t, err, "sentinel_auth")
}

// keepWriting writes from a few callers until stop, which checks how each write ended.
func (b *bundle) keepWriting(t *testing.T, id string) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var callers sync.WaitGroup
	for range 4 {
		callers.Go(func() {
			for ctx.Err() == nil {
				g := &cache.Group{Entity: b.E, Partition: b.E.Partition(id), Writes: []cache.Write{
					{Op: cache.OpPut, ID: id, Values: whole.Row("Ann", "1", "1")}}}
				b.Write(context.WithoutCancel(ctx), g)
				if err := g.Results[0].Err; err != nil {
					assert.True(t, errors.Is(err, schema.ErrUnavailable) || errors.Is(err, schema.ErrOutcomeUnknown),
						"%v", err)
				}
			}
		})
	}
	return func() {
		cancel()
		callers.Wait()
	}
}

// TestAReplicaRefusesWrites: READONLY says that nothing was written, and passes.
func TestAReplicaRefusesWrites(t *testing.T) {
	t.Parallel()
	server, other := testkit.Redis(t), testkit.Redis(t)
	b := on(t, server.URL())
	b.Put(t, "a", "Ann")
	host, port, _ := strings.Cut(other.Addr(), ":")
	admin := server.Client(t)
	require.NoError(t, admin.Do(t.Context(), "REPLICAOF", host, port).Err())
	got, _ := b.Send(t, cache.Write{Op: cache.OpPut, ID: "b", Values: whole.Row("Bob", "1", "1")})
	require.ErrorIs(t, got.Err, schema.ErrUnavailable)
	require.NotErrorIs(t, got.Err, schema.ErrOutcomeUnknown)
	v := group(t, b, kept.Policy{Group: "s"})
	a, err := v.Read(t.Context(), "k", (&source{text: "1"}).load)
	require.NoError(t, err)
	assert.Equal(t, kept.Bypass, a.Source)
	require.NoError(t, admin.Do(t.Context(), "REPLICAOF", "NO", "ONE").Err())
	b.everything(t)
}

// source is what values are loaded from.
type source struct{ text string }

func (s *source) load(context.Context) (string, error) { return s.text, nil }

func group(t *testing.T, c kept.Cache, p kept.Policy) *kept.Values[string] {
	t.Helper()
	p.TTL = time.Minute
	v, err := kept.New[string](c, p, nil)
	require.NoError(t, err)
	return v
}
