package postgres

// Marked is marked.
var Marked = marked
