package cache_test

import (
	"github.com/alicebob/miniredis/v2"

	"github.com/afterwrite/afterwrite/cache"
)

func openWith(loader cache.Loader) (*cache.Cache, func()) {
	server, err := miniredis.Run()
	if err != nil {
		panic(err)
	}
	c, err := cache.New(cache.Config{URL: "redis://" + server.Addr(), Loader: loader})
	if err != nil {
		panic(err)
	}
	return c, func() {
		_ = c.Close()
		server.Close()
	}
}
