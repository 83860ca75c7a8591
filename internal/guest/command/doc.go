// Command guest runs a program as root under another kernel, for go test:
//
//	go test -exec "$PWD/bin/guest -kernel 6.12" -tags=vm ./ipvs
//	bin/guest -lane fast some.test -test.v
//	bin/guest -fetch -kernel newest
//	bin/guest -try -kernel 6.12
//
// Its exit status is the program's. Status 250 means that there was no result,
// and 251 that a kernel is neither in the cache nor to be had; -try, which says
// whether such a machine can run here at all, answers with 0 or 251.
//
// The same file is the first process in the machine (package pid1), so it must
// be built static, as make does.
package main
