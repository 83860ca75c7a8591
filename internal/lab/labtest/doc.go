// Package labtest ties labs to the life of a test: namespaces of their own for
// every test, removed at its end, and the leftovers of killed test runs removed
// at the next start. It runs processes on nodes for as long as a test lasts,
// waits for what must come, hears and sends frames as they are, and lets
// keepalived run without IPVS. It seeds random tests.
//
// It owns no topology and asserts nothing but that nothing is left behind. The
// tests of package lab and the acceptance tests use it and so test it.
package labtest
