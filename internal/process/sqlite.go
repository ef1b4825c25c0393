//go:build cgo

package process

import _ "github.com/afterwrite/afterwrite/store/sqlite" // sqlite:// URLs: a build without cgo has none
