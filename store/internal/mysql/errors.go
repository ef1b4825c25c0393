package mysql

import (
	"errors"
	"slices"
	"strings"

	drv "github.com/go-sql-driver/mysql"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/fault"
)

func mysqlError(err error) (number uint16, state string) {
	var e *drv.MySQLError
	if !errors.As(err, &e) {
		return 0, ""
	}
	return e.Number, string(e.SQLState[:])
}

// Missing is a table (1146) or a column (1054).
func (*mysql) Missing(err error) bool {
	number, _ := mysqlError(err)
	return number == 1146 || number == 1054
}

// Incomparable: all types have equality.
func (*mysql) Incomparable(error) bool { return false }

// Denied: to the table (1142) or a column (1143).
func (*mysql) Denied(err error) bool {
	number, _ := mysqlError(err)
	return number == 1142 || number == 1143
}

// mysqlAway are the server's own troubles: full, out of memory or connections, read-only,
// damaged, shutting down. https://mariadb.com/kb/en/mariadb-error-codes/
var mysqlAway = []uint16{
	1021, 1114, 1030, 1034, 1035, 1037, 1038, 1041, 1040, 1203, 1226, 1053, 1290, 1836, 1792, 1194, 1195, 1877, 3098,
	3100, 3101, 3032,
}

func (d *mysql) Away(err error) bool {
	number, _ := mysqlError(err)
	return slices.Contains(mysqlAway, number)
}

// ReadOnly: the server (1290, 1836) or the transaction (1792).
func (*mysql) ReadOnly(err error) bool {
	number, _ := mysqlError(err)
	return number == 1290 || number == 1836 || number == 1792
}

// Conflict is a deadlock, which rolls the transaction back; a wait that took too long (1205)
// does not.
func (*mysql) Conflict(err error) bool {
	number, _ := mysqlError(err)
	return number == 1213
}

func (d *mysql) Blocked(err error) bool {
	number, _ := mysqlError(err)
	return number == 1205 || d.Conflict(err)
}

// Suspect leaves out permissions and TLS that is required (3159), which only an operator can fix, and a lost connection
// (MariaDB 1927, MySQL 4031).
func (*mysql) Suspect(err error) bool {
	number, state := mysqlError(err)
	if number == 0 || slices.Contains([]uint16{1044, 1045, 1142, 1143, 1227, 1370, 1410, 1927, 3159, 4031}, number) {
		return false
	}
	return slices.Contains([]string{"0A", "40", "42", "70", "HY"}, state[:2])
}

// OfTable is a statement that names what is not there, that the server cannot prepare or may
// not run (42), or that asks for what it does not support (0A).
func (*mysql) OfTable(err error) bool {
	number, state := mysqlError(err)
	return number != 0 && slices.Contains([]string{"0A", "42"}, state[:2])
}

// Hung is a wait for a lock (1205), or a statement that took its time (MariaDB 1969, MySQL 3024)
// or was ended (1317).
func (*mysql) Hung(err error) bool {
	number, _ := mysqlError(err)
	return slices.Contains([]uint16{1205, 1969, 3024, 1317}, number)
}

func (*mysql) Classify(err error) (schema.Refusal, bool) {
	if large := (*tooLargeError)(nil); errors.As(err, &large) || errors.Is(err, drv.ErrPktTooLarge) {
		return fault.Refusal(schema.KindRange, "", "", err.Error()), true
	}
	var e *drv.MySQLError
	if !errors.As(err, &e) {
		return schema.Refusal{}, false
	}
	kind, ok := mysqlKind(e.Number, string(e.SQLState[:]))
	if lacksCharacters(e) {
		kind, ok = schema.KindType, true
	}
	if !ok {
		return schema.Refusal{}, false
	}
	constraint, column := mysqlNames(kind, e.Message)
	return fault.Refusal(kind, constraint, column, mysqlMessage(kind, constraint, e.Message)), true
}

// mysqlKinds are the numbers that say what the record did wrong.
var mysqlKinds = map[uint16]schema.Kind{
	1062: schema.KindUnique, 1586: schema.KindUnique, 1022: schema.KindUnique, 1761: schema.KindUnique,
	1762: schema.KindUnique,
	1451: schema.KindForeignKey, 1452: schema.KindForeignKey, 1216: schema.KindForeignKey, 1217: schema.KindForeignKey,
	1048: schema.KindNotNull, 1364: schema.KindNotNull, 1263: schema.KindNotNull,
	4025: schema.KindCheck, 3819: schema.KindCheck, 1369: schema.KindCheck, 1526: schema.KindCheck,
	1406: schema.KindRange, 1264: schema.KindRange, 1690: schema.KindRange, 1118: schema.KindRange,
	1153: schema.KindRange, 1467: schema.KindRange,
	1301: schema.KindRange, 1441: schema.KindRange,
	1366: schema.KindType, 1292: schema.KindType, 1265: schema.KindType, 1411: schema.KindType, 1300: schema.KindType,
	1642: schema.KindPoison, 1643: schema.KindPoison, 1644: schema.KindPoison, // SIGNAL, with a state of any class
	1525: schema.KindType, // MySQL: a text that is compared with a date is none
	3140: schema.KindType, 3156: schema.KindType, 3903: schema.KindType, 4038: schema.KindType, 1977: schema.KindType,
}

// lacksCharacters reports whether a text was compared with a column whose character set lacks one of its characters, as
// utf8mb3 lacks those beyond the first 65,536: no row has it. The words are those of collations, and never translated.
func lacksCharacters(e *drv.MySQLError) bool {
	switch e.Number {
	case 1267, 1270: // two collations or three, one of them of a text that was sent
		return strings.Contains(e.Message, ",COERCIBLE)")
	case 1271: // more of them
		return strings.Contains(e.Message, "'in'")
	}
	return false
}

// mysqlKind goes by the number, then by the class of the state: data, constraints and what a
// trigger signals are refusals; everything else, known or not, is the database's trouble and
// not the record's.
func mysqlKind(number uint16, state string) (schema.Kind, bool) {
	if kind, ok := mysqlKinds[number]; ok {
		return kind, true
	}
	switch state[:2] {
	case "21", "22", "23", "38", "44", "45":
		return schema.KindPoison, true
	}
	return "", false
}

// mysqlNames finds the names that the server tells in its message only. They inform; the kind
// never rests on them.
func mysqlNames(kind schema.Kind, message string) (constraint, column string) {
	names := strings.ReplaceAll(message, `"`, "`") // as the server quotes identifiers in this mode
	between := func(open, end string) string {
		message := names
		_, rest, ok := strings.Cut(message, open)
		name, _, closed := strings.Cut(rest, end)
		if !ok || !closed {
			return ""
		}
		return name
	}
	switch kind {
	case schema.KindUnique: // the value comes first, and may look like anything
		at := strings.LastIndex(message, "for key '")
		if at < 0 {
			return "", ""
		}
		name := strings.TrimSuffix(message[at+len("for key '"):], "'")
		if _, index, ok := strings.Cut(name, "."); ok { // MySQL names the table, too
			name = index
		}
		return name, ""
	case schema.KindForeignKey:
		return between("CONSTRAINT `", "`"), between("FOREIGN KEY (`", "`")
	case schema.KindNotNull:
		if name := between("Column '", "'"); name != "" {
			return "", name
		}
		return "", between("Field '", "'")
	case schema.KindCheck:
		if name := between("CONSTRAINT `", "`"); name != "" {
			return name, ""
		}
		return between("constraint '", "'"), ""
	}
	if at := strings.LastIndex(message, "for column "); at >= 0 {
		name, _, _ := strings.Cut(message[at+len("for column "):], " at row")
		parts := strings.FieldsFunc(name, func(r rune) bool { return strings.ContainsRune("`'.", r) })
		if len(parts) > 0 {
			return "", parts[len(parts)-1]
		}
	}
	return "", ""
}

// mysqlMessage leaves out the value, which would make every message its own group.
func mysqlMessage(kind schema.Kind, constraint, message string) string {
	if kind == schema.KindUnique && constraint != "" {
		return "Duplicate entry for key '" + constraint + "'"
	}
	if kind == schema.KindType || kind == schema.KindRange {
		before, rest, ok := strings.Cut(message, ": '")
		if at := strings.LastIndex(rest, "' for column "); ok && at >= 0 {
			message = before + rest[at+1:]
		}
		if at := strings.LastIndex(message, " at row "); at >= 0 {
			message = message[:at]
		}
	}
	return message
}
