package demo

import "context"

func (d *demo) interactive(ctx context.Context) error { return d.script(ctx) }
