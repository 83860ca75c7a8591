package track

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/evenkeel/evenkeel/model"
)

// maxNumber bounds what is read of a file.
const maxNumber = 128

var errNoNumber = errors.New("it holds no number")

// parseNumber reads the number that text begins with, as C's strtol does: after
// blanks, with a sign, and with 0x for base 16 or 0 for base 8. What follows
// does not matter. As with keepalived a number that does not fit into 32 bits is
// none.
func parseNumber(text string) (int, error) {
	text = strings.TrimLeft(text, " \t\n\v\f\r")
	sign := ""
	if text != "" && (text[0] == '-' || text[0] == '+') {
		sign, text = text[:1], text[1:]
	}
	base, digits := 10, "0123456789"
	switch {
	case len(text) > 2 && (text[:2] == "0x" || text[:2] == "0X") && strings.ContainsRune(hexDigits, rune(text[2])):
		base, digits, text = 16, hexDigits, text[2:]
	case strings.HasPrefix(text, "0"):
		base, digits = 8, "01234567"
	}
	end := 0
	for end < len(text) && strings.IndexByte(digits, text[end]) >= 0 {
		end++
	}
	if end == 0 {
		return 0, errNoNumber
	}
	v, err := strconv.ParseInt(sign+text[:end], base, 32)
	if err != nil {
		return 0, fmt.Errorf("its number is not between %d and %d", math.MinInt32, math.MaxInt32)
	}
	return int(v), nil
}

const hexDigits = "0123456789abcdefABCDEF"

// readNumber returns the number in a file. It never waits, as opening a FIFO
// could.
func readNumber(path string) (int, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return 0, cause(err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return 0, cause(err)
	case !info.Mode().IsRegular():
		return 0, errors.New("it is not a regular file")
	}
	text, err := io.ReadAll(io.LimitReader(f, maxNumber))
	if err != nil {
		return 0, cause(err)
	}
	return parseNumber(string(text))
}

// cause leaves out the path that an error names: the status has the file's name.
func cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// initFile does what init_file asks for. It follows no symbolic link, since the
// folder may be open to others.
func initFile(f model.TrackFile) error {
	flags := os.O_WRONLY | os.O_CREATE | unix.O_NOFOLLOW | unix.O_NONBLOCK
	switch f.Init {
	case model.InitFileNone:
		return nil
	case model.InitFileCreate:
		flags |= os.O_EXCL
	case model.InitFileOverwrite:
	}
	file, err := os.OpenFile(f.Path, flags, 0o644)
	switch {
	case errors.Is(err, fs.ErrExist) && f.Init == model.InitFileCreate:
		return nil
	case err != nil:
		return fmt.Errorf("create track file: %w", err)
	}
	err = writeNumber(file, f.InitValue)
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("create track file %s: %w", f.Path, err)
	}
	return nil
}

// writeNumber writes over a regular file and nothing else.
func writeNumber(f *os.File, value int) error {
	info, err := f.Stat()
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return errors.New("it is not a regular file")
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, value)
	return err
}
