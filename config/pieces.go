package config

// pieces cuts many small lists from few large ones, which costs less than each
// for itself. All of a large one is kept while any part of it is in use.
type pieces[T any] struct{ rest []T }

// pieceLength is how many there are in a large list.
const pieceLength = 256

// take returns a list of n zero values, to which nothing may be appended in
// place.
func (p *pieces[T]) take(n int) []T {
	if n > len(p.rest) {
		if n > pieceLength/4 {
			return make([]T, n)
		}
		p.rest = make([]T, pieceLength)
	}
	list := p.rest[:n:n]
	p.rest = p.rest[n:]
	return list
}
