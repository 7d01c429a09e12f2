package route

import (
	"iter"
	"strings"
)

// readings are the ways in which a path can be read, the plainest first. Most
// paths have one only.
func readings(path string) iter.Seq[string] {
	return func(yield func(string) bool) {
		if !strings.HasPrefix(path, "/") { // "*", of OPTIONS
			path = "/"
		}
		if plain(path) {
			yield(path)
			return
		}
		kept := unescape(path)
		split := strings.NewReplacer("%2F", "/", "%5C", "/", `\`, "/").Replace(kept)
		_ = yield(kept) && yield(split) &&
			yield(resolve(kept, false)) && yield(resolve(kept, true)) &&
			yield(resolve(split, false)) && yield(resolve(split, true)) &&
			yield(resolve(withoutParameters(split), true))
	}
}

// plain says that there is but one way to read a path.
func plain(path string) bool {
	for i := range len(path) {
		switch path[i] {
		case '%', ';', '\\':
			return false
		case '.', '/':
			if i > 0 && path[i-1] == '/' {
				return false
			}
		}
	}
	return true
}

// unescape decodes what is escaped, except for what would be taken for
// something else then: a slash, a backslash and the percent sign.
func unescape(path string) string {
	if !strings.Contains(path, "%") {
		return path
	}
	const upper = "0123456789ABCDEF"
	out := make([]byte, 0, len(path))
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c != '%' || i+2 >= len(path) || !isHex(path[i+1]) || !isHex(path[i+2]) {
			out = append(out, c)
			continue
		}
		c = value(path[i+1])<<4 | value(path[i+2])
		i += 2
		switch c {
		case '/', '\\', '%':
			out = append(out, '%', upper[c>>4], upper[c&15])
		default:
			out = append(out, c)
		}
	}
	return string(out)
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f'
}

func value(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}

// resolve takes out the elements "." and "..", as RFC 3986, 5.2.4, does. merged,
// empty elements go first.
func resolve(path string, merged bool) string {
	out := make([]byte, 0, len(path))
	rest := path[1:]
	for {
		element, after, more := strings.Cut(rest, "/")
		switch {
		case element == "..":
			for len(out) > 0 && out[len(out)-1] != '/' {
				out = out[:len(out)-1]
			}
			out = out[:max(0, len(out)-1)]
		case element == ".", element == "" && more && merged:
		default:
			out = append(append(out, '/'), element...)
		}
		if !more {
			if element == "." || element == ".." {
				out = append(out, '/')
			}
			return string(out)
		}
		rest = after
	}
}

// withoutParameters cuts what follows a semicolon off each element.
func withoutParameters(path string) string {
	elements := strings.Split(path, "/")
	for i, e := range elements {
		elements[i], _, _ = strings.Cut(e, ";")
	}
	return strings.Join(elements, "/")
}
