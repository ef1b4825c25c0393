package api

import (
	"context"
	"errors"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/producer/api/internal/request"
	"github.com/afterwrite/afterwrite/schema"
)

// match returns the one version that the write script compares with. If several versions are allowed, the record is
// read: if it is at one of them, the script checks that it still is.
func (a *API) match(ctx context.Context, e *schema.Entity, id string, cond request.Condition) (schema.Version, error) {
	switch {
	case cond.Any:
		return cache.AnyVersion, nil
	case cond.Versions == nil:
		return 0, nil
	case len(cond.Versions) == 1:
		return cond.Versions[0], nil
	case len(cond.Versions) == 0:
		return 0, errPrecondition("no tag of If-Match is a version of a record")
	}
	id, err := e.CanonicalID(id)
	if err != nil {
		return 0, err
	}
	read, err := a.cache.Get(ctx, e, id)
	if err != nil {
		return 0, err
	}
	if read.Source == cache.Bypass {
		return 0, schema.ErrUnavailable
	}
	for _, v := range cond.Versions {
		if !read.Deleted && v == read.Version {
			return v, nil
		}
	}
	return 0, schema.ErrVersionMismatch
}

// ifAbsent reports whether the write requires that the record does not exist. A create always does, and a put can; for
// the other operations this is an error, because they need the record.
func ifAbsent(op cache.Op, cond request.Condition) (bool, error) {
	if !cond.Absent || op == cache.OpPut || op == cache.OpCreate {
		return cond.Absent && op == cache.OpPut, nil
	}
	return false, errPrecondition("If-None-Match: * asks that there is no record, which this request needs")
}

// conditionFailed turns the error of a write whose precondition was not met into the error of a failed precondition.
func conditionFailed(err error, op cache.Op, cond request.Condition) error {
	switch {
	case cond.Absent && (errors.Is(err, schema.ErrExists) || errors.Is(err, schema.ErrVersionMismatch)):
		return errPrecondition("there is a record already, and If-None-Match: * asks for none")
	case cond.Any && (errors.Is(err, schema.ErrNotFound) || errors.Is(err, schema.ErrVersionMismatch)):
		return errPrecondition("there is no record, and If-Match: * asks for one")
	case cond.Versions != nil && errors.Is(err, schema.ErrNotFound):
		return errPrecondition("there is no record, and If-Match asks for one")
	}
	return err
}
