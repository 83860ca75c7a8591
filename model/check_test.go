package model_test

import (
	"net/netip"
	"testing"

	"github.com/evenkeel/evenkeel/model"
)

func TestCheckEqual(t *testing.T) {
	base := func() model.Check {
		return model.Check{
			Kind:      model.HTTPGet,
			ConnectTo: netip.MustParseAddrPort("10.0.0.1:80"),
			HTTP:      &model.HTTPSpec{URLs: []model.URL{{Path: "/", StatusCodes: []model.CodeRange{{First: 200, Last: 204}}}}},
		}
	}
	script := func(argv ...string) model.Check {
		return model.Check{Kind: model.MiscCheck, Misc: &model.MiscSpec{Script: model.Script{Argv: argv}}}
	}
	tests := []struct {
		name   string
		change func(*model.Check)
		want   bool
	}{
		{"copy", func(*model.Check) {}, true},
		{"another place", func(c *model.Check) { c.Pos.Line = 7 }, true},
		{"another target", func(c *model.Check) { c.ConnectTo = netip.MustParseAddrPort("10.0.0.1:81") }, false},
		{"another code", func(c *model.Check) { c.HTTP.URLs[0].StatusCodes[0].Last = 299 }, false},
		{"another url", func(c *model.Check) { c.HTTP.URLs = append(c.HTTP.URLs, model.URL{Path: "/b"}) }, false},
		{"an SSL block", func(c *model.Check) { c.HTTP.TLS = &model.ClientTLS{} }, false},
		{"a script", func(c *model.Check) { *c = script("/bin/true") }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, b := base(), base()
			tt.change(&b)
			if got := a.Equal(b); got != tt.want {
				t.Errorf("Equal = %v, want %v", got, tt.want)
			}
			if got := b.Equal(a); got != tt.want {
				t.Errorf("the other way round Equal = %v, want %v", got, tt.want)
			}
		})
	}
	moved := script("/bin/check", "a")
	moved.Misc.Script.Pos.Line = 9
	if !script("/bin/check", "a").Equal(moved) {
		t.Error("a script that moved in the file is another one")
	}
	if script("/bin/check", "a").Equal(script("/bin/check", "b")) {
		t.Error("another argument makes no difference")
	}
	dynamic := script("/bin/check", "a")
	dynamic.Misc.Dynamic = true
	if script("/bin/check", "a").Equal(dynamic) {
		t.Error("misc_dynamic makes no difference")
	}
}
