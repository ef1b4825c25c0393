package layout

import (
	"strconv"
	"strings"

	"github.com/afterwrite/afterwrite/schema"
)

// A rank orders records of equal score by their ids, as Redis orders the members of a sorted set: by bytes. The bytes
// of "10" come before those of "9", so a rank of ids that are numbers, or of keys with several columns, has members
// made of them whose bytes are in the order of the values:
//
//	an int    a letter that says how many digits follow, and the digits: b10 after a9. Below zero it is an upper-case
//	          letter, from Z down, and each digit d is 9-d: Z8 is -1, and Y89 is -10
//	a time    without its Z, for .5 of a second is after none
//	a text    as it is, without the escapes of a key
//	a key     its parts, with a byte 0 between two, which no part has
//
// Builds before these members kept ids in the rank. Which of them a partition has, its mark k tells, and the token of a
// rebuild: it begins with a mark. The mark of a rank of ids is the field that ranks; one of members has "#" behind it.
const memberMark = "#"

// HasMembers reports whether an entity's rank has members that are not the ids: it is ranked, and bytes and values have
// different orders.
func HasMembers(e *schema.Entity) bool {
	return e.RankBy != "" && (e.ID.Type == schema.Int || e.ID.Composite())
}

// RankMarks returns the mark of a rank whose members are in the order of their values, and the mark of one that has
// the ids themselves. They are the same for an entity whose ids are in the order of their bytes.
func RankMarks(e *schema.Entity) (values, ids string) {
	if HasMembers(e) {
		return e.RankBy + memberMark, e.RankBy
	}
	return e.RankBy, e.RankBy
}

// Member returns the member of a canonical id in a rank by values, which is the id where HasMembers is false.
func Member(e *schema.Entity, id string) string {
	if !HasMembers(e) {
		return id
	}
	if !e.ID.Composite() {
		return memberPart(e.ID.Type, id)
	}
	parts := schema.KeyParts(id)
	for n, i := range e.Key() {
		if n < len(parts) {
			parts[n] = memberPart(e.Fields[i].Type, parts[n])
		}
	}
	return strings.Join(parts, "\x00")
}

// MemberID returns the id of a member of a rank by values, and whether it is one.
func MemberID(e *schema.Entity, member string) (id string, ok bool) {
	if !HasMembers(e) {
		return member, true
	}
	if !e.ID.Composite() {
		return partOf(e.ID.Type, member)
	}
	parts, key := strings.Split(member, "\x00"), e.Key()
	if len(parts) != len(key) {
		return "", false
	}
	for n, i := range key {
		if parts[n], ok = partOf(e.Fields[i].Type, parts[n]); !ok {
			return "", false
		}
	}
	return schema.JoinKey(parts), true
}

func memberPart(t schema.FieldType, text string) string {
	switch digits, negative := strings.CutPrefix(text, "-"); {
	case t == schema.Time:
		return strings.TrimSuffix(text, "Z")
	case t != schema.Int || digits == "":
		return text
	case negative:
		return string(rune('Z'+1-len(digits))) + nines(digits)
	default:
		return string(rune('a'-1+len(digits))) + digits
	}
}

func partOf(t schema.FieldType, part string) (text string, ok bool) {
	switch {
	case t == schema.Time:
		return part + "Z", part != ""
	case t != schema.Int:
		return part, true
	case len(part) < 2:
		return "", false
	}
	text = part[1:]
	if part[0] <= 'Z' {
		text = "-" + nines(text)
	}
	if _, err := strconv.ParseInt(text, 10, 64); err != nil || memberPart(t, text) != part {
		return "", false
	}
	return text, true
}

// nines replaces each digit d by 9-d.
func nines(digits string) string {
	return strings.Map(func(d rune) rune { return '0' + '9' - d }, digits)
}
