package lbmaps

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// Field is one member of a C struct.
type Field struct {
	Name  string
	Value any
}

// Fields are the members of a struct in their order, without padding. As JSON
// they are an object.
type Fields []Field

// MarshalJSON implements json.Marshaler.
func (f Fields) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, field := range f {
		if i > 0 {
			b.WriteByte(',')
		}
		value, err := json.Marshal(field.Value)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%q:%s", field.Name, value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// String prints the members as name and value.
func (f Fields) String() string {
	var b bytes.Buffer
	for i, field := range f {
		if i > 0 {
			b.WriteByte(' ')
		}
		switch v := field.Value.(type) {
		case Fields:
			fmt.Fprintf(&b, "%s {%v}", field.Name, v)
		case []any:
			fmt.Fprintf(&b, "%s [%s]", field.Name, joined(v))
		default:
			fmt.Fprintf(&b, "%s %v", field.Name, field.Value)
		}
	}
	return b.String()
}

func joined(list []any) string {
	words := make([]string, len(list))
	for i, v := range list {
		words[i] = fmt.Sprint(v)
	}
	return strings.Join(words, ", ")
}

// decode turns the bytes of a C type into a value that prints well: Fields, a
// list, a number, the name of an enumerator, and a netip.Addr, a port or a MAC
// for what contract.h keeps in network order.
func decode(t btf.Type, b []byte) any {
	switch t := t.(type) {
	case *btf.Typedef:
		return decodeTypedef(t, b)
	case *btf.Const:
		return decode(t.Type, b)
	case *btf.Volatile:
		return decode(t.Type, b)
	case *btf.Struct:
		return decodeMembers(t.Members, b)
	case *btf.Union:
		return decodeUnion(t, b)
	case *btf.Array:
		return decodeArray(t, b)
	case *btf.Enum:
		return decodeEnum(t, b)
	case *btf.Int:
		if t.Encoding == btf.Signed {
			return signed(b[:t.Size])
		}
		return unsigned(b[:t.Size])
	}
	return fmt.Sprintf("% x", b)
}

// decodeTypedef knows the types of the wire.
func decodeTypedef(t *btf.Typedef, b []byte) any {
	switch t.Name {
	case "__be16":
		return uint64(binary.BigEndian.Uint16(b))
	case "__be32":
		return netip.AddrFrom4([4]byte(b[:4]))
	}
	return decode(t.Type, b)
}

func decodeMembers(members []btf.Member, b []byte) any {
	var fields Fields
	for _, m := range members {
		if isPadding(m.Name) {
			continue
		}
		fields = append(fields, Field{m.Name, decode(m.Type, b[m.Offset.Bytes():])})
	}
	return fields
}

// isPadding says whether a member is there for alignment only.
func isPadding(name string) bool { return len(name) >= 3 && name[:3] == "pad" && len(name) <= 4 }

// decodeUnion prefers the form with names: the word of a cursor or flow is a
// number as well.
func decodeUnion(t *btf.Union, b []byte) any {
	for _, m := range t.Members {
		if s, ok := m.Type.(*btf.Struct); ok {
			return decodeMembers(s.Members, b)
		}
	}
	return decode(t.Members[0].Type, b)
}

// decodeArray takes 16 and 6 bytes for addresses, and more for a set: Fields by the index of those
// that are not zero. Zeros at the end of another list are left out.
func decodeArray(t *btf.Array, b []byte) any {
	size, err := btf.Sizeof(t.Type)
	if err != nil {
		return fmt.Sprintf("% x", b)
	}
	n := int(t.Nelems)
	switch {
	case size == 1 && n == 16, TypeName(t.Type) == "__be32" && n == 4:
		return hostAddr([16]byte(b[:16]))
	case size == 1 && n == 6:
		return net.HardwareAddr(b[:6]).String()
	case size == 1 && n > 16:
		return set(b[:n])
	}
	for n > 0 && allZero([][]byte{b[(n-1)*size : n*size]}) {
		n--
	}
	list := make([]any, 0, n)
	for i := range n {
		list = append(list, decode(t.Type, b[i*size:(i+1)*size]))
	}
	return list
}

func set(b []byte) Fields {
	fields := Fields{}
	for i, v := range b {
		if v != 0 {
			fields = append(fields, Field{strconv.Itoa(i), uint64(v)})
		}
	}
	return fields
}

func decodeEnum(t *btf.Enum, b []byte) any {
	number := unsigned(b[:t.Size])
	for _, v := range t.Values {
		if v.Value == number {
			return v.Name
		}
	}
	return number
}

func unsigned(b []byte) uint64 {
	var wide [8]byte
	if binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
		copy(wide[:], b)
	} else {
		copy(wide[8-len(b):], b)
	}
	return binary.NativeEndian.Uint64(wide[:])
}

func signed(b []byte) int64 {
	shift := 64 - 8*len(b)
	return int64(unsigned(b)<<shift) >> shift
}

// TypeName returns a type as C names it.
func TypeName(t btf.Type) string {
	switch t := t.(type) {
	case *btf.Struct:
		return "struct " + t.Name
	case *btf.Union:
		return "union " + t.Name
	case *btf.Enum:
		return "enum " + t.Name
	case *btf.Array:
		return fmt.Sprintf("%s[%d]", TypeName(t.Type), t.Nelems)
	case nil:
		return ""
	}
	return t.TypeName()
}
