package fleet

import "slices"

// MembersInfo is "1" in the info of each process that reads and keeps ranks by values, see package rank.
const MembersInfo = "members"

// RankByValues reports whether all processes that live keep ranks by values: none is of a build from before them.
func RankByValues(alive []Process) bool {
	return !slices.ContainsFunc(alive, func(p Process) bool { return p.Info[MembersInfo] != "1" })
}
