package node

import "strings"

func expandAll(list []string, values map[string]string) []string {
	var out []string
	for _, s := range list {
		out = append(out, expand(s, values))
	}
	return out
}

// expand puts values in the place of $(NAME). $$ is a plain dollar, so that
// $$(NAME) stays as $(NAME); names without a value are left as they are.
func expand(s string, values map[string]string) string {
	return expandWith(s, func(name string) (string, bool) {
		value, ok := values[name]
		return value, ok
	})
}

// expandWith is expand with the values that look tells.
func expandWith(s string, look func(name string) (value string, ok bool)) string {
	var b strings.Builder
	for {
		i := strings.IndexByte(s, '$')
		if i < 0 || i+1 == len(s) {
			b.WriteString(s)
			return b.String()
		}
		b.WriteString(s[:i])
		s = s[i:]
		n := referenceLength(s)
		value, known := "", false
		if n > 3 {
			value, known = look(s[2 : n-1])
		}
		switch {
		case s[1] == '$':
			b.WriteByte('$')
			n = 2
		case n > 0 && known:
			b.WriteString(value)
		case n > 0:
			b.WriteString(s[:n])
		default:
			b.WriteByte('$')
			n = 1
		}
		s = s[n:]
	}
}

// referenceLength is the length of the $(NAME) that s begins with, 0 if it does not.
func referenceLength(s string) int {
	if !strings.HasPrefix(s, "$(") {
		return 0
	}
	return strings.IndexByte(s, ')') + 1
}
