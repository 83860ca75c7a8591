// Package model holds the value types that the other packages share: what a
// configuration asks for (VirtualServer, RealServer, Check, VRRP, Global), what a
// datapath is told (Service, Server) and what it reports back (Tables, Flow).
//
// It owns no behaviour beyond naming and printing its values, never reaches
// the kernel or the file system, and imports the standard library only. Values
// are copied freely; nobody keeps a pointer into somebody else's model.
//
// Tests are tables over the text forms.
package model
