//! The house: which room may name which, by what paths, and without going round in circles.
//! Comments and a file's own tests, which come last in it, may name anything.

mod circles;
mod private;
mod shelves;
mod source;
