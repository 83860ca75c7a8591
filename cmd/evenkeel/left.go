package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/evenkeel/evenkeel/api"
	"github.com/evenkeel/evenkeel/ipvs"
	"github.com/evenkeel/evenkeel/loader"
	"github.com/evenkeel/evenkeel/model"
)

// left is what runs without a daemon: pinned maps, and services in the kernel's
// IPVS. Either may be nil.
type left struct {
	view *loader.View
	ipvs *ipvs.IPVS
}

// openLeft opens what there is, and loads nothing.
func openLeft(ctx context.Context, pinDir string) (left, error) {
	var l left
	view, err := loader.Open(pinDir)
	if err == nil {
		l.view = view
	} else if !errors.Is(err, loader.ErrNotLoaded) {
		return l, err
	}
	kernel, err := ipvs.Start(ctx, ipvs.Options{OnlyIfLoaded: true})
	if errors.Is(err, ipvs.ErrNoIPVS) {
		return l, nil
	}
	if err == nil {
		l.ipvs = kernel
		err = kernel.ClaimAll(ctx)
	}
	if err != nil {
		return left{}, errors.Join(err, l.Close())
	}
	return l, nil
}

// Close lets go of it.
func (l left) Close() error {
	var errs []error
	if l.view != nil {
		errs = append(errs, l.view.Close())
	}
	if l.ipvs != nil {
		errs = append(errs, l.ipvs.Close())
	}
	return errors.Join(errs...)
}

// tables returns all services.
func (l left) tables(ctx context.Context) ([]api.Service, error) {
	var all []api.Service
	if l.view != nil {
		tables, err := l.view.Snapshot(ctx)
		if err != nil {
			return nil, err
		}
		all = api.FromTables(tables)
	}
	if l.ipvs == nil {
		return all, nil
	}
	tables, err := l.ipvs.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	for _, entry := range tables.Services {
		all = append(all, api.FromEntry(model.DatapathIPVS, entry))
	}
	return all, nil
}

// flows calls yield with each flow until it returns false.
func (l left) flows(ctx context.Context, yield func(api.Flow) bool) error {
	more := true
	each := func(f model.Flow) bool {
		more = yield(api.FromFlow(f))
		return more
	}
	if l.view != nil {
		if err := l.view.Flows(ctx, each); err != nil || !more {
			return err
		}
	}
	if l.ipvs == nil {
		return nil
	}
	return l.ipvs.Flows(ctx, each)
}

// from says where it was read.
func (l left) from(pinDir string, services bool) string {
	switch {
	case l.view == nil:
		return "the kernel's IPVS"
	case l.ipvs == nil || !services:
		return pinDir
	}
	return fmt.Sprintf("%s and the kernel's IPVS", pinDir)
}
